"""The machinery of the tables: tuning, runs that are not repeated, pages."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.machinery import (
    plots,
    render,
    runs,
    statistics,
    training_table,
    tuning,
)
from experiments.machinery.declaration import Row, Schedule, Table
from zoo.runs import preset_store

pytestmark = pytest.mark.once(reason="a function stands for train.py")

TABLE = Table(
    name="toy",
    title="Toy",
    rows=(
        Row("a", "A", {"norm": "bn"}),
        Row("b", "B", {"norm": "lng", "group_size": 4}),
        Row("c", "C", {"norm": "lng", "group_size": 8}),
    ),
    schedules={
        "cpu": Schedule(
            flags={"model": "toy", "epochs": 3, "batch_size": 10},
            learning_rates=(0.1, 0.2),
            tuning_flags={"epochs": 2, "validation_examples": 5},
            seeds=3,
            text="a schedule.",
        )
    },
    reference="a",
    notes=("a note.",),
)
SCHEDULE = TABLE.schedules["cpu"]
ACCURACY = {"a": 0.3, "b": 0.5, "c": 0.3001}


@pytest.fixture
def trainings(tmp_path, monkeypatch):
    """Replaces train.py by a function of its flags; returns the flags it was given.

    The better learning rate is 0.2 on the validation images and 0.1 on the test
    images, so that a choice by the test set is seen.
    """
    done = []

    def train(flags, folder, backend):
        if flags.get("norm") == trainings.interrupt_at:
            raise KeyboardInterrupt
        done.append(flags)
        names = [r.name for r in TABLE.rows if r.flags.items() <= flags.items()]
        (folder / "flags.json").write_text(json.dumps(flags))
        (folder / "model.keras").write_text("weights")
        accuracy = ACCURACY[(names or ["a"])[0]] + 0.001 * flags["seed"] % 0.003
        validation = flags["learning_rate"]
        rows = [
            {
                "epoch": epoch + 1,
                "test_accuracy": accuracy + 0.01 * (epoch == 0) - validation / 100,
                "train_accuracy": accuracy,
                "validation_accuracy": validation if epoch else 1 - validation,
            }
            for epoch in range(flags["epochs"])
        ]
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        (folder / "metrics.jsonl").write_text(lines)
        result = {
            "test_accuracy": rows[-1]["test_accuracy"],
            "train_accuracy": accuracy,
            "test_loss": 1.0,
            "epochs": flags["epochs"],
            "parameters": 1234,
            "images_per_second": 100.0,
            "seconds": 2.0,
        }
        (folder / "result.json").write_text(json.dumps(result))
        environment = {
            "backend": "tensorflow",
            "devices": ["cpu"],
            "processor": "P",
            "cores": 2,
            "python": "3.11",
            "versions": {"keras": "3"},
            "git": {"commit": "abc", "changed": False},
            "data": {"name": "toy", "source": "/somebody/s/folder", "train": 3},
        }
        (folder / "env.json").write_text(json.dumps(environment))
        return None

    trainings.interrupt_at = None
    monkeypatch.setattr(runs, "_train", train)
    monkeypatch.setattr(runs, "WORK", tmp_path / "work")
    monkeypatch.setattr(plots, "draw", lambda *arguments: None)
    return done


def make(output, **arguments):
    arguments = {"seeds": None, "only": [], **arguments}
    return training_table.run(
        TABLE, "cpu", output=output, say=lambda line: None, **arguments
    )


def test_learning_rate_is_chosen_on_validation_images_of_the_last_epoch(
    tmp_path, trainings
):
    make(tmp_path, seeds=1)
    published = [flags for flags in trainings if flags["seed"] != tuning.SEED]
    assert [flags["learning_rate"] for flags in published] == [0.2] * 3
    assert all("validation_examples" not in flags for flags in published)


def test_every_row_gets_the_same_tuning(tmp_path, trainings):
    make(tmp_path, seeds=1)
    tried = [flags for flags in trainings if flags["seed"] == tuning.SEED]
    for row in TABLE.rows:
        of_row = [f for f in tried if row.flags.items() <= f.items()]
        assert [f["learning_rate"] for f in of_row] == [0.1, 0.2]
        assert all(f["validation_examples"] == 5 for f in of_row)
    grid = (tmp_path / "tuning.csv").read_text().splitlines()
    assert grid[1:3] == ["a,0.1,0.1000,False,False", "a,0.2,0.2000,True,True"]


def test_a_best_rate_at_the_edge_tries_the_next_beyond(tmp_path, trainings):
    wider = dataclasses.replace(SCHEDULE, further_rates=(0.05, 0.8, 0.4))
    table = dataclasses.replace(TABLE, schedules={"cpu": wider})
    arguments = dict(output=tmp_path, say=lambda line: None)
    make(tmp_path, seeds=1)  # at 0.2, the best of the narrow grid
    page = training_table.run(table, "cpu", 1, ["a"], **arguments)
    tried = [f["learning_rate"] for f in trainings if f["seed"] == tuning.SEED]
    assert tried[-2:] == [0.4, 0.8]  # not 0.05: the best is at the other edge
    assert trainings[-1]["learning_rate"] == 0.8  # the run at 0.2 is no result now
    assert trainings[-1]["seed"] == 0
    assert "| A |" in page
    assert "| B |" not in page  # its tuning does not say yet whether 0.2 is best
    count = len(trainings)
    assert training_table.run(table, "cpu", 1, ["a"], **arguments) == page
    assert len(trainings) == count
    grid = (tmp_path / "tuning.csv").read_text()
    assert "a,0.8,0.8000,True,True\n" in grid
    assert "b,0.2,0.2000,False,False\n" in grid


def test_of_equal_rates_the_first_of_the_grid_is_taken_then_and_later(
    tmp_path, trainings, monkeypatch
):
    monkeypatch.setattr(tuning, "score", lambda table, record: 0.1)
    wider = dataclasses.replace(SCHEDULE, further_rates=(0.05, 0.4))
    table = dataclasses.replace(TABLE, schedules={"cpu": wider})
    arguments = dict(output=tmp_path, say=lambda line: None)
    page = training_table.run(table, "cpu", 1, ["a"], **arguments)
    assert trainings[-1]["learning_rate"] == 0.1
    assert "| A |" in page  # the run that is there is the one that is asked for
    count = len(trainings)
    assert training_table.run(table, "cpu", 1, ["a"], **arguments) == page
    assert len(trainings) == count
    assert "a,0.1,0.1000,True,False\n" in (tmp_path / "tuning.csv").read_text()


def test_rows_are_run_in_the_order_they_are_named_in(tmp_path, trainings):
    make(tmp_path, seeds=1, only=["c", "a"])
    published = [flags for flags in trainings if flags["seed"] != tuning.SEED]
    assert [flags["norm"] for flags in published] == ["lng", "bn"]


def test_finished_runs_are_not_repeated(tmp_path, trainings):
    first = make(tmp_path)
    count = len(trainings)
    assert count == 3 * (2 + 3)
    assert make(tmp_path) == first
    assert len(trainings) == count
    make(tmp_path, seeds=4)
    assert len(trainings) == count + 3


def test_an_interrupted_table_continues(tmp_path, trainings, request):
    whole = make(tmp_path / "whole")
    fixture = globals()["trainings"]
    fixture.interrupt_at = "lng"
    with pytest.raises(KeyboardInterrupt):
        make(tmp_path / "parts")
    fixture.interrupt_at = None
    finished = len(trainings)
    assert make(tmp_path / "parts") == whole
    assert len(trainings) - finished == 15 - 3  # row a: two rates and a seed were done


def test_a_record_of_other_flags_is_not_taken(tmp_path, trainings):
    make(tmp_path, seeds=1)
    path = tmp_path / "runs" / "a" / "seed0.json"
    record = json.loads(path.read_text())
    record["flags"]["epochs"] = 7
    path.write_text(json.dumps(record))
    count = len(trainings)
    make(tmp_path, seeds=1)
    assert trainings[count:] == [{**record["flags"], "epochs": 3}]


def test_no_path_of_the_machine_is_published(tmp_path, trainings):
    make(tmp_path, seeds=1)
    for path in tmp_path.rglob("*"):
        if path.is_file() and path.suffix in (".json", ".md", ".csv"):
            if "work" not in path.relative_to(tmp_path).parts:
                assert "/somebody" not in path.read_text()
                assert str(tmp_path) not in path.read_text()


def test_page_tells_mean_spread_n_and_reference(tmp_path, trainings):
    page = make(tmp_path)
    lines = [line for line in page.splitlines() if line.startswith("| ")]
    assert lines[2].startswith("| A | 29.90 ± 0.10 | 30.10 ± 0.10 | 30.90 ± 0.10 | 3 |")
    assert lines[2].endswith("| — | reference |")
    assert "| 0.2 | 1,234 | 100 | +20.00 [+19.98, +20.02] | above |" in lines[3]
    assert "a schedule." in page
    assert "- a note." in page
    assert "python train.py --model=toy --epochs=3 --batch_size=10 --norm=bn" in page


def test_pairs_are_compared_in_a_table_of_their_own(tmp_path, trainings):
    make(tmp_path)
    table = dataclasses.replace(TABLE, pairs=(("b", "c"), ("c", "b"), ("b", "d")))
    lines = training_table.write(table, "cpu", SCHEDULE, tmp_path).splitlines()
    assert "| B | C | 3 | +19.99 [+19.97, +20.01] | above |" in lines
    assert "| C | B | 3 | -19.99 [-20.01, -19.97] | below |" in lines
    assert not any("| B | D |" in line for line in lines)  # no run of d
    alone = training_table.write(TABLE, "cpu", SCHEDULE, tmp_path)
    assert "against |" not in alone


def test_pictures_are_drawn(tmp_path, trainings, monkeypatch):
    make(tmp_path, seeds=1)
    monkeypatch.undo()
    records = training_table.read_all(TABLE, SCHEDULE, tmp_path)
    plots.draw(TABLE, records, tmp_path)
    names = {p.name for p in tmp_path.glob("*.png")}
    assert names == {"accuracy.png", "curves.png", "group_size.png"}
    sizes = plots.by_group_size(TABLE, render.values(TABLE, records))
    (axes,) = sizes.axes
    drawn = axes.lines[0].get_xydata()
    np.testing.assert_allclose(drawn, [[4, 49.8], [8, 29.81]])
    reference = next(line for line in axes.lines if line.get_linestyle() == "--")
    np.testing.assert_allclose(reference.get_ydata(), [29.8, 29.8])
    assert reference.get_label() == "mean of A"


def test_no_picture_of_group_sizes_is_drawn_of_one_size():
    rows = tuple(Row(n, n, {"norm": "lng", "group_size": 8}) for n in "ab")
    table = dataclasses.replace(TABLE, rows=rows, reference="a")
    assert plots.by_group_size(table, {n: {0: 0.5} for n in "ab"}) is None


def test_bars_show_the_reference_and_tell_activations_apart():
    activated = Row("c", "C", {"norm": "bn", "activation": "relu"})
    table = dataclasses.replace(TABLE, rows=(*TABLE.rows[:2], activated))
    rows = {"a": {0: 0.2, 1: 0.4}, "b": {0: 0.5}, "c": {0: 0.7}}
    picture = plots.bars(table, rows, {row.name: row.label for row in table.rows})
    (axes,) = picture.axes
    line = next(line for line in axes.lines if line.get_linestyle() == "--")
    np.testing.assert_allclose(line.get_xdata(), [30, 30])
    c, b, a = axes.patches  # from below
    np.testing.assert_allclose([bar.get_width() for bar in (a, b, c)], [30, 50, 70])
    assert a.get_facecolor() == b.get_facecolor() != c.get_facecolor()
    told = [text.get_text() for text in picture.legends[0].get_texts()]
    assert told == ["mean of A", "without activations", "with activations"]


def test_diverged_rates_are_results_and_other_failures_are_not(
    tmp_path, trainings, monkeypatch
):
    finished = runs._train

    def train(flags, folder, backend):
        reason = finished(flags, folder, backend)
        return "the loss is nan" if flags["learning_rate"] == 0.2 else reason

    monkeypatch.setattr(runs, "_train", train)
    make(tmp_path, seeds=1)
    assert "a,0.2,diverged,False,False" in (tmp_path / "tuning.csv").read_text()
    record = json.loads((tmp_path / "runs" / "a" / "seed0.json").read_text())
    assert record["flags"]["learning_rate"] == 0.1

    def fail(flags, folder, backend):
        raise runs.RunFailed("no such flag")

    monkeypatch.setattr(runs, "_train", fail)
    with pytest.raises(runs.RunFailed):
        make(tmp_path, seeds=2)
    assert not (tmp_path / "runs" / "a" / "seed1.json").exists()


def test_model_that_is_gone_is_trained_again(tmp_path, trainings):
    make(tmp_path, seeds=1)
    flags = training_table.flags_of(TABLE.rows[0], SCHEDULE, 0.2, 0)
    path = tmp_path / "runs" / "a" / "seed0.json"
    count = len(trainings)
    runs.ensure_model(path, "toy-a-seed0", flags, say=lambda line: None)
    assert len(trainings) == count
    (runs.work_folder(flags) / "model.keras").unlink()
    runs.ensure_model(path, "toy-a-seed0", flags, say=lambda line: None)
    assert trainings[count:] == [flags]


def test_model_that_is_gone_is_taken_from_its_preset(tmp_path, trainings, monkeypatch):
    make(tmp_path, seeds=1)
    flags = training_table.flags_of(TABLE.rows[0], SCHEDULE, 0.2, 0)
    path = tmp_path / "runs" / "a" / "seed0.json"
    record = path.read_bytes()
    published = tmp_path / "toy.keras"
    published.write_text("published weights")
    cards = {"other": {"command": "python train.py --model=toy"}}
    cards["toy"] = {"command": runs.command(flags)}
    monkeypatch.setattr(preset_store, "presets", lambda: cards)
    monkeypatch.setattr(preset_store, "preset_path", {"toy": published}.get)
    model = runs.work_folder(flags) / "model.keras"
    model.unlink()
    count = len(trainings)
    assert runs.ensure_model(path, "toy-a-seed0", flags) == model
    assert model.read_text() == "published weights"
    assert len(trainings) == count
    assert path.read_bytes() == record


def test_a_row_that_begins_with_another_gets_its_model(tmp_path, trainings):
    table = dataclasses.replace(
        TABLE, rows=(*TABLE.rows, Row("d", "D", {"norm": "lng", "group_size": 2}, "a"))
    )
    arguments = dict(output=tmp_path, say=lambda line: None)
    first = training_table.run(table, "cpu", 2, ["d"], **arguments)
    count = len(trainings)
    of_d = [flags for flags in trainings if flags.get("group_size") == 2]
    for flags in of_d:
        folder = runs.WORK / flags["init"].split("/")[-2]
        seed = json.loads((folder / "flags.json").read_text())["seed"]
        assert seed == flags["seed"]  # of the same seed; in tuning a tuning run
        assert "norm" in flags
    assert len(of_d) == 2 + 2
    source = [f for f in trainings if f["norm"] == "bn" and f["seed"] == tuning.SEED]
    assert all(flags["validation_examples"] == 5 for flags in source)
    assert training_table.run(table, "cpu", 2, ["d"], **arguments) == first
    assert len(trainings) == count
    assert "d,0.2,0.2000,True,True" in (tmp_path / "tuning.csv").read_text()


def test_unknown_rows_and_budgets_are_refused(tmp_path):
    with pytest.raises(ValueError, match="no row 'd'. Its rows: a, b, c"):
        make(tmp_path, only=["d"])
    with pytest.raises(ValueError, match="no budget 'huge'. Its budgets: cpu"):
        training_table.run(TABLE, "huge", None, [], tmp_path)


def test_where_nothing_is_shown_no_list_of_all_rows_is_printed():
    label = TABLE.row("b").label
    rows = {"a": {0: 0.1}, "b": {0: 0.9}, "c": {0: 0.5}}
    [said] = render._reading(TABLE, rows)
    assert label in said
    assert "do not show any other row to be below it" in said
    clear = {
        name: {seed: mean + seed / 1e5 for seed in range(3)}
        for name, mean in (("a", 0.1), ("b", 0.9), ("c", 0.9))
    }
    [said] = render._reading(TABLE, clear)
    assert said.endswith(f"Not shown to be below it: {TABLE.row('c').label}.")


def test_percent_shows_no_spread_for_one_run():
    assert render.percent(statistics.summarize([0.5])) == "50.00"
    assert render.percent(statistics.summarize([0.5, 0.52])) == "51.00 ± 1.41"
