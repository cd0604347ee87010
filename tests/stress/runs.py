"""Runs of train.py for the stress commands, and what two runs must share."""

import json
import pathlib
import subprocess
import sys

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
TINY = (
    *("--model=ln_net", "--depth=1", "--width=8", "--group_size=4", "--norm=lng"),
    *("--batch_size=16", "--train_examples=480", "--epochs=5", "--ema=0.9"),
)
TIMES = ("seconds", "evaluation_seconds", "images_per_second", "finished_at")


def command(folder, *flags):
    return [sys.executable, "train.py", f"--run_dir={folder}", *flags]


def finish(folder, *flags, **more):
    """Runs train.py to its end; returns the completed process.

    Args:
        more: of `subprocess.run`.
    """
    return subprocess.run(
        command(folder, *flags), cwd=ROOT, capture_output=True, text=True, **more
    )


def outcome(folder):
    """Returns all that two runs of one seed must share, bit for bit."""
    lines = (folder / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    result = json.loads((folder / "result.json").read_text())
    with np.load(folder / "checkpoints" / "last.npz") as file:
        state = {n: file[n].tobytes() for n in file.files if n != "meta"}
    numbers = ("test_loss", "test_accuracy", "train_loss", "train_accuracy")
    return {
        "rows": [{k: v for k, v in r.items() if k not in TIMES} for r in rows],
        "result": {k: result[k] for k in numbers},
        "state": state,
    }


def differences(folder, expected, epochs=5):
    """Returns what is wrong with a finished run: strings, none if nothing is."""
    actual, wrong = outcome(folder), []
    wrong += [f"{k} differs" for k in expected if actual[k] != expected[k]]
    if [row["epoch"] for row in actual["rows"]] != list(range(1, epochs + 1)):
        wrong.append("an epoch is missing or doubled")
    wrong += [f"left {p.name}" for p in folder.rglob("*.tmp*")]
    return wrong


def one_line(process, status, words):
    """Returns what is wrong with an error message: it must be one line."""
    errors = [line for line in process.stderr.splitlines() if line.startswith("error")]
    if "Traceback" in process.stderr:
        return [f"traceback: {process.stderr[-400:]}"]
    if process.returncode != status or len(errors) != 1 or words not in errors[0]:
        return [f"status {process.returncode}: {process.stderr[-400:]}"]
    return []
