"""One run of train.py for a table: how it ends is understood, and what names it."""

import json
import os

import pytest

from experiments.machinery import files, runs
from zoo.errors import DIVERGED

pytestmark = pytest.mark.once(reason="scripts stand for train.py")


@pytest.mark.skipif(os.name != "posix", reason="a script stands for Python")
@pytest.mark.parametrize(
    ("script", "outcome"),
    [
        ("exit 0", None),
        ("echo 'error: the loss is nan at step 3; the last good checkpoint is in x' >&2"
         f"; exit {DIVERGED}", "the loss is nan at step 3"),
    ],
)  # fmt: skip
def test_exit_of_train_py_is_understood(tmp_path, monkeypatch, script, outcome):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\n{script}\n")
    program.chmod(0o755)
    monkeypatch.setattr(runs.sys, "executable", str(program))
    assert runs._train({"seed": 1}, tmp_path, None) == outcome


def test_failed_and_interrupted_train_py_are_raised(tmp_path, monkeypatch):
    program = tmp_path / "python"
    monkeypatch.setattr(runs.sys, "executable", str(program))
    program.write_text("#!/bin/sh\necho 'error: no data' >&2; exit 2\n")
    program.chmod(0o755)
    with pytest.raises(runs.RunFailed, match="no data.*exit status 2"):
        runs._train({}, tmp_path, None)
    program.write_text("#!/bin/sh\nexit 143\n")
    with pytest.raises(KeyboardInterrupt):
        runs._train({}, tmp_path, None)


def test_a_run_that_is_trained_again_keeps_its_record_until_then(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "WORK", tmp_path / "work")
    flags = {"model": "vit", "norm": "ln", "seed": 0}
    path = tmp_path / "seed0.json"
    files.write(path, json.dumps({"flags": flags, "result": "old"}))

    def stop(*arguments):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs, "_train", stop)
    with pytest.raises(KeyboardInterrupt):
        runs.ensure_model(path, "vit", flags)
    assert json.loads(path.read_text())["result"] == "old"

    def train(flags, folder, backend):
        (folder / "result.json").write_text('"new"')
        (folder / "metrics.jsonl").write_text("")

    monkeypatch.setattr(runs, "_train", train)
    monkeypatch.setattr(runs, "_environment", lambda folder: {})
    runs.ensure_model(path, "vit", flags)
    assert json.loads(path.read_text())["result"] == "new"


def test_key_tells_flags_apart_and_ignores_their_order():
    assert runs.key({"a": 1, "b": 2}) == runs.key({"b": 2, "a": 1})
    assert runs.key({"a": 1}) != runs.key({"a": 2})
