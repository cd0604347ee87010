"""Claims about `search_group_size`."""

import json
import os
import pathlib
import socket
import subprocess
import sys

import keras
import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from lng_keras.adopt.search import pareto_front, search_group_size, stage_of
from lng_keras.adopt.search.candidates import group_sizes
from lng_keras.adopt.search.training import data_fingerprint, fit_arguments, followers
from lng_keras.adopt.trainings import compiled
from lng_keras.swap import find_normalizations

pytest.importorskip("keras_tuner")
layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore")  # of KerasTuner


def model(activation=None):
    keras.utils.set_random_seed(0)
    x = y = keras.Input((4, 4, 3))
    for i in (1, 2):
        y = layers.Conv2D(8, 1, activation=activation, name=f"stage{i}_conv")(y)
        y = layers.BatchNormalization(name=f"stage{i}_norm")(y)
    return keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))


def data():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 2, 48)
    x = rng.normal(size=(48, 4, 4, 3)) + y[:, None, None, None]
    return (x[:32].astype("float32"), y[:32]), (x[32:].astype("float32"), y[32:])


SMALL = dict(candidates=(2, 4), max_epochs=2, seeds=2, batch_sizes=(1,))


class Interrupted(KeyboardInterrupt):
    pass


@pytest.mark.slow
def test_an_interrupted_search_continues(tmp_path):
    said = []

    def stop(text):
        said.append(text)
        if len(said) == 2 or text.startswith("comparison: as it is, seed 1"):
            raise Interrupted

    for _ in range(2):
        with pytest.raises(Interrupted):
            search_group_size(
                model(), *data(), **SMALL, directory=str(tmp_path), progress=stop
            )
    first = len([text for text in said if text.startswith("hyperband")])
    said = []
    result = search_group_size(
        model(), *data(), **SMALL, directory=str(tmp_path), progress=said.append
    )
    assert first
    assert any("already done" in text for text in said)
    assert not any(text.startswith("hyperband") for text in said)
    rows = {row["name"]: row for row in result.rows}
    assert list(rows)[0] == "as it is"
    assert set(rows) == {"as it is", "2", "4"}
    assert all(row["seeds"] == 2 and row["spread"] is not None for row in result.rows)
    assert any(row["pareto"] for row in result.rows)
    assert json.loads((tmp_path / "search.json").read_text())["rows"] == result.rows
    assert "Pareto front" in (tmp_path / "search.txt").read_text()
    assert result.best["accuracy"] == max(row["accuracy"] for row in result.rows)


WORKER = """
import sys
sys.path.insert(0, {root!r})
from tests.lng_keras.adopt import test_search as t
from lng_keras.search import search_group_size
found = search_group_size(t.model(), *t.data(), **t.SMALL, directory={directory!r})
print("rows:", found and len(found.rows))
"""


@pytest.mark.slow
def test_a_chief_and_two_workers_share_a_search(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    root = pathlib.Path(__file__).parents[3]
    paths = dict(root=str(root), directory=str(tmp_path / "s"))
    processes = {}
    for who in ("chief", "tuner0", "tuner1"):
        address = dict(KERASTUNER_ORACLE_IP="127.0.0.1", KERASTUNER_ORACLE_PORT=port)
        processes[who] = subprocess.Popen(
            [sys.executable, "-c", WORKER.format(**paths)],
            env={**os.environ, **address, "KERASTUNER_TUNER_ID": who},
            stdout=subprocess.PIPE,
            text=True,
        )
    try:
        said = {who: p.communicate(timeout=600)[0] for who, p in processes.items()}
    finally:
        for process in processes.values():
            process.kill()
    assert [process.returncode for process in processes.values()] == [0, 0, 0]
    assert "rows: None" in said["chief"]
    assert "rows: None" in said["tuner1"]
    rows = json.loads((tmp_path / "s" / "search.json").read_text())["rows"]
    assert rows[0]["name"] == "as it is"
    assert f"rows: {len(rows)}" in said["tuner0"]


@pytest.mark.slow
def test_one_size_a_stage(tmp_path):
    result = search_group_size(
        model(),
        *data(),
        **SMALL,
        per_stage=True,
        directory=str(tmp_path),
        progress=None,
    )
    assert set(result.rows[1]["group_sizes"]) == {"stage1", "stage2"}


def test_a_function_of_the_epoch_gives_every_training_the_same_batches(tmp_path):
    asked = []

    class Batches(keras.utils.PyDataset):
        def __init__(self, epoch):
            super().__init__()
            self.epoch = epoch

        def __len__(self):
            return 2

        def __getitem__(self, i):
            asked.append((self.epoch, i))
            x, y = data()[0]
            return x[16 * i : 16 * i + 16], y[16 * i : 16 * i + 16]

    fit = fit_arguments(Batches, data()[1], batch_size=None)
    for _ in range(2):
        asked.clear()
        made = compiled(model(), 1e-3)
        made.fit(**fit, epochs=3, verbose=0, callbacks=followers(fit["x"]))
        # Keras looks at a batch before the first epoch, on some backends.
        assert list(dict.fromkeys(asked)) == [(e, i) for e in range(3) for i in (0, 1)]


def test_data_are_told_apart_by_what_stays_the_same_from_one_call_to_the_next():
    class Batches(keras.utils.PyDataset):
        def __init__(self, first):
            super().__init__()
            self.first = first

        def __len__(self):
            return 2

        def __getitem__(self, i):
            return (np.full((2, 3), self.first + i), np.array([0, 1]))

    def digests(first, kind):
        made = {
            "arrays": Batches(first)[0],
            "function": lambda epoch: Batches(first),
            "dataset": Batches(first),  # which may shuffle
            "generator": (Batches(first)[i] for i in range(2)),
        }[kind]
        return data_fingerprint(fit_arguments(made, Batches(0)[0], batch_size=2))

    for kind in ("arrays", "function", "dataset", "generator"):
        assert digests(0, kind) == digests(0, kind)
        told = digests(0, kind) != digests(1, kind)
        assert told == (kind in ("arrays", "function"))


def test_stages_are_read_from_paths():
    stages = [stage_of(norm) for _, norm in find_normalizations(model())]
    assert stages == ["stage1", "stage2"]


def test_finalists_are_the_best_and_then_what_was_not_tried():
    tried = [{"group_sizes": {"all": size}} for size in (8, 0)]
    space = group_sizes(model(), (4, 8, 16), per_stage=False, swap_arguments={})
    chosen = space.best_of(tried, count=2)
    assert list(chosen) == ["as it is", "8", "4"]
    assert chosen["4"] == {"all": 4}


def test_pareto_front_keeps_what_nothing_beats():
    points = [(0.5, 1.0), (0.6, 2.0), (0.55, 3.0), (0.5, 1.0), (0.4, 1.0)]
    assert pareto_front(points) == [True, True, False, True, False]


def test_a_folder_of_another_search_is_refused(tmp_path):
    class Begun(Exception):
        pass

    def begin(model, train, validation, **changed):
        def stop(compiled):
            raise Begun

        arguments = dict(SMALL, compile=stop, directory=str(tmp_path), progress=None)
        search_group_size(model, train, validation, **{**arguments, **changed})

    train, validation = data()
    other = (train[0] + 1, train[1])
    for _ in range(2):  # the same call goes on
        with pytest.raises(Begun):
            begin(model(), train, validation)
    for settings, call in [
        ("data", lambda: begin(model(), other, validation)),
        ("data", lambda: begin(model(), train, (other[0], other[1]))),
        ("objective", lambda: begin(model(), train, validation, objective="loss")),
        ("candidates", lambda: begin(model(), train, validation, over_space=True)),
        (
            "candidates",
            lambda: begin(model(), train, validation, where=lambda norm: False),
        ),
        ("model, candidates", lambda: begin(model("relu"), train, validation)),
    ]:
        with pytest.raises(UsageError, match=rf"other settings \({settings}\)"):
            call()
    for damaged in ("{", "null", "[3]"):
        (tmp_path / "settings.json").write_text(damaged)
        with pytest.raises(UsageError, match=r"settings.json is damaged \(.*directory"):
            begin(model(), train, validation)


def test_wrong_arguments_are_refused(tmp_path):
    for arguments, message in [
        (dict(candidates=()), "must be >= 1"),
        (dict(max_epochs=0), "must be >= 1"),
    ]:
        with pytest.raises(ValueError, match=message):
            search_group_size(model(), *data(), **arguments, directory=str(tmp_path))
    with pytest.raises(ValueError, match="needs a model"):
        search_group_size(
            lambda size: model(), *data(), per_stage=True, directory=str(tmp_path)
        )
    x = keras.Input((4, 4, 3))
    with pytest.raises(ValueError, match="No normalization"):
        search_group_size(
            keras.Model(x, layers.Dense(2)(x)), *data(), directory=str(tmp_path)
        )
