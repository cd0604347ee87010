"""The tables robustness and cost: what is measured, once, and what the page says."""

import inspect
import json
import os
import subprocess
import sys

import numpy as np
import pytest

from experiments.machinery import files, runs, training_table
from experiments.tables import corruptions, cost, measure_cost, robustness, sources
from lng_keras._base import timing
from zoo import data
from zoo.runs import model_files
from zoo.training import evaluation

TABLE = sources.TABLES[0]
SCHEDULE = training_table.schedule_of(TABLE, "smoke")
ROWS = ["bn", "ln"]


@pytest.fixture
def trained(monkeypatch, tmp_path):
    """Trained runs without training; returns the images each evaluation has seen."""
    images = np.random.default_rng(0).integers(0, 256, (400, 8, 8, 3), np.uint8)
    test = data.Split(images, np.arange(400) % 10)
    seen, written = [], []

    def ensure(table, row, schedule, seed, output, say=print):
        flags = training_table.flags_of(row, schedule, 0.1, seed)
        record = {"flags": flags, "result": {}}
        if (row.name, seed) == ("ln", 1):
            return {"flags": flags, "diverged": "the loss is nan"}
        path = training_table.record_path(row, seed, output)
        if not path.exists():
            files.write(path, json.dumps(record))
        return record

    def evaluate(model, split):
        seen.append((model, split.images))
        better = 0.2 * ("-ln-" in model)
        return {"accuracy": float(split.images.mean() / 255) + better}

    results = tmp_path / "results"
    monkeypatch.setattr(
        robustness, "folder_of", lambda table, budget: results / table / budget
    )
    monkeypatch.setattr(training_table, "ensure", ensure)
    monkeypatch.setattr(
        training_table, "write", lambda table, *_: written.append(table)
    )
    monkeypatch.setattr(runs, "ensure_model", lambda path, name, *rest: name)
    monkeypatch.setattr(model_files, "load", lambda path: path)
    monkeypatch.setattr(
        data, "load", lambda *arguments: data.Data("toy", test, test, (), "toy")
    )
    monkeypatch.setattr(evaluation, "evaluate", evaluate)
    robustness.shifted_split.cache_clear()
    return seen, test, results / "robustness" / "smoke", written


def make(output):
    return robustness.run("smoke", 2, ROWS, output)


def test_every_shift_and_severity_is_measured_on_balanced_images(trained):
    seen, test, output, _ = trained
    make(output)
    of_one = [images for model, images in seen if model == "resnet_na-bn-seed0"]
    assert len(of_one) == 1 + 4 * 5
    chosen = data.balanced_choice(test.labels, 200)
    for i, name in enumerate(corruptions.CORRUPTIONS):
        for j, severity in enumerate(corruptions.SEVERITIES):
            wanted = corruptions.corrupt(test.images[chosen], name, severity)
            np.testing.assert_array_equal(of_one[5 * i + j], wanted)
    np.testing.assert_array_equal(of_one[-1], test.images[chosen])  # clean
    record = json.loads((output / "runs/resnet_na/bn/seed0.json").read_text())
    assert {len(values) for values in record["shifted"].values()} == {5}
    assert record["clean"] == test.images[chosen].mean() / 255


def test_measured_models_are_not_measured_again(trained):
    seen, _, output, written = trained
    first = make(output)
    count = len(seen)
    assert len(written) == 3  # its runs are new, so their own tables are too
    assert make(output) == first
    assert len(written) == 3
    # Both tables have a row ln; the diverged runs have no model.
    assert len(seen) == count == (3 + 1) * 21


def test_output_elsewhere_measures_the_same_models(trained, tmp_path):
    seen, _, output, _ = trained
    page = make(output)
    assert robustness.run("smoke", 2, ROWS, tmp_path / "elsewhere") == page


def test_page_compares_the_mean_of_shifts(trained):
    _, _, output, _ = trained
    page = make(output)
    accuracies, shifted, shifted_pair, kept, kept_pair, *_ = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in page.splitlines()
        if line.startswith("| LN (space")
    ]
    ln, bn = (
        json.loads((output / f"runs/resnet_na/{row}/seed0.json").read_text())
        for row in ("ln", "bn")
    )
    clean, noise = ln["clean"], np.mean(ln["shifted"]["noise"])
    assert accuracies[1] == "1"  # the other run diverged
    assert accuracies[2:4] == [f"{100 * clean:.2f}", f"{100 * noise:.2f}"]
    mean, of_bn = (np.mean([*record["shifted"].values()]) for record in (ln, bn))
    gain, gain_kept = mean - of_bn, mean / clean - of_bn / bn["clean"]
    assert shifted[1:] == [f"{100 * mean:.2f}", f"{100 * gain:+.2f}", "undecided"]
    assert kept[1] == f"{100 * mean / clean:.2f}"
    assert kept[2:] == [f"{100 * gain_kept:+.2f}", "undecided"]
    assert shifted_pair[1:] == ["BN", "1", f"{100 * gain:+.2f}", "undecided"]
    assert kept_pair[3] == f"{100 * gain_kept:+.2f}"
    assert (output / "resnet_na.png").exists()
    lines = (output / "resnet_na.csv").read_text().splitlines()
    assert len(lines) == 1 + 3 * 21


def test_picture_shows_every_severity_and_the_mean_of_the_models():
    pytest.importorskip("matplotlib")
    shifted = {shift: [0.5, 0.4, 0.3, 0.2, 0.1] for shift in corruptions.CORRUPTIONS}
    models = {seed: {"clean": 0.6 + seed / 5, "shifted": shifted} for seed in (0, 1)}
    panels = robustness.picture(TABLE, {"ln": models}).axes
    assert [axes.get_title() for axes in panels] == list(corruptions.CORRUPTIONS)
    for axes in panels:
        assert list(axes.get_xticks()) == [0, 1, 2, 3, 4, 5]
        (line,) = axes.lines
        np.testing.assert_allclose(line.get_ydata(), [70, 50, 40, 30, 20, 10])


@pytest.mark.parametrize(
    ("only", "of_resnet", "of_vit"),
    [
        (["ln"], ["ln"], ["ln"]),
        (["vit/ln", "bn"], ["bn"], ["ln"]),
        (["vit"], [], ["ln", "rms", "lng_4", "lng_8", "lng_16", "lng_32"]),
    ],
)
def test_rows_are_chosen_by_table_and_name(only, of_resnet, of_vit):
    chosen = sources.selected("cost", only)
    assert [table.name for table, _ in chosen] == ["resnet_na", "vit"]
    names = [[row.name for row in rows] for _, rows in chosen]
    assert names == [of_resnet, of_vit]


@pytest.mark.parametrize("name", ["lng_7", "vit/bn"])
def test_unknown_rows_are_refused(name, tmp_path):
    for table in (robustness, cost):
        with pytest.raises(ValueError, match=f"no row '{name}'. Its rows: resnet_na:"):
            table.run("smoke", 1, [name], tmp_path)


def test_cost_is_measured_once_a_round_in_a_process_of_its_own(tmp_path, monkeypatch):
    requests = []

    def measure(command, **arguments):
        request = json.loads(command[-1])
        requests.append(request)
        step = 100.0 + 10 * (request["norm"] == "ln_position") + len(requests) % 2
        measured = {"step_ms": step, "predict_ms": 30.0, "latency_ms": 1.0}
        measured |= {"step_ratio": step / 100, "predict_ratio": 1.0}
        measured |= {"latency_ratio": 0.5, "python": "3", "versions": {"keras": "9"}}
        measured |= {"memory_mb": 5.0, "parameters": 99, "batch_size": 64}
        measured |= {"backend": "tensorflow", "compiled": False}
        measured |= {"processor": "P", "cores": 2}
        text = "noise of a library\n" + json.dumps(measured)
        return subprocess.CompletedProcess(command, 0, text, "")

    monkeypatch.setattr(subprocess, "run", measure)
    page = cost.run("smoke", 2, ["bn", "ln_position", "relu_bn"], tmp_path)
    assert [r["norm"] for r in requests] == ["bn", "ln_position", "bn"] * 2
    assert "learning_rate" not in requests[0]
    assert "against" not in requests[0]  # the reference itself
    assert requests[1]["against"] == {
        name: value for name, value in requests[0].items() if name != "repeats"
    }
    assert cost.run("smoke", 2, ["bn", "ln_position", "relu_bn"], tmp_path) == page
    assert len(requests) == 6
    assert "Hardware: P, cores: 2; resnet_na: tensorflow, not compiled" in page
    assert "Python 3, keras 9" in page
    line = next(line for line in page.splitlines() if line.startswith("| BN |"))
    assert line.startswith("| BN | 2 | 99 | 100.50 ± 0.71 | 30.00 ± 0.00 |")
    against = page[page.index("| against BN |") :].splitlines()
    # Of its own reference, 10 and 11 percent more; the forward pass takes as long.
    assert against[2].startswith("| LN at each position | +10.50 [+4.15, +16.85] | ")
    assert "| +0.00 [-0.09, +0.09] | undecided |" in against[2]
    assert against[2].endswith("| -50.00 [-50.09, -49.91] | below |")
    assert not any(line.startswith("| BN |") for line in against)

    # Without a record of the reference: each row has measured it.
    alone = cost.run("smoke", 2, ["ln_position"], tmp_path / "alone")
    assert "| LN at each position | +10.50 [+4.15, +16.85] | " in alone

    def fail(command, **arguments):
        return subprocess.CompletedProcess(command, 1, "", "out of memory")

    monkeypatch.setattr(subprocess, "run", fail)
    with pytest.raises(runs.RunFailed, match="bn: out of memory"):
        cost.run("smoke", 3, ["bn"], tmp_path)


@pytest.mark.only("tensorflow", reason="started on it; in this process on each, below")
def test_cost_is_measured_by_a_command():
    row = TABLE.row("lng_8")
    request = {**cost.request(TABLE, row, SCHEDULE, "smoke"), "batch_size": 8}
    del request["against"]
    done = subprocess.run(
        [sys.executable, "-m", "experiments.tables.measure_cost", json.dumps(request)],
        cwd=runs.ROOT,
        env={**os.environ, "KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=True,
    )
    measured = json.loads(done.stdout.splitlines()[-1])
    assert measured["parameters"] == 78_042  # of ResNet-8 with groups of 8
    assert measured["batch_size"] == 8
    assert not measured["compiled"]  # on a CPU oneDNN's convolutions are faster
    assert measured["latency_ms"] > 0
    assert measured["step_ms"] > 0
    assert measured["step_ratio"] == 1  # of its own


def test_cost_is_compared_with_the_reference_in_turn(monkeypatch, capsys):
    parameters, events = {"this": [], "other": []}, []
    prepare, resident = measure_cost._prepare, measure_cost._resident

    def note(event, function):
        return lambda *arguments: events.append(event) or function(*arguments)

    monkeypatch.setattr(measure_cost, "_prepare", note("model", prepare))
    monkeypatch.setattr(measure_cost, "_resident", note("memory", resident))

    def in_turns(functions, repeats):
        for name, function in functions.items():
            model = inspect.getclosurevars(function).nonlocals["model"]
            parameters[name].append(model.count_params())
        return {"this": [3.0, 3.0], "other": [2.0, 2.0]}

    monkeypatch.setattr(timing, "in_turns", in_turns)
    request = cost.request(TABLE, TABLE.row("lng_8"), SCHEDULE, "smoke")
    measure_cost.main(json.dumps({**request, "batch_size": 8}))
    measured = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert parameters == {"this": [78_042] * 3, "other": [78_714] * 3}  # BN has more
    assert events == ["model", "memory", "memory", "model"]  # memory of one alone
    assert measured["step_ms"] == 3000
    assert measured["predict_ratio"] == 1.5
