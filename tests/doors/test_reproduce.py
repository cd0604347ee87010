"""reproduce.py as a program: help, refusals, interruption, nothing done twice."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

pytestmark = pytest.mark.once(reason="reproduce.py starts its backends itself")
ROOT = pathlib.Path(__file__).resolve().parents[2]
PROGRAM = [sys.executable, str(ROOT / "reproduce.py")]


def call(*arguments):
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, cwd=ROOT
    )


def test_help_names_every_flag_and_imports_no_backend():
    code = (
        "import sys; sys.argv = ['reproduce.py', '--help']\n"
        "import reproduce\n"
        "try: reproduce.main(sys.argv)\n"
        "except SystemExit as end: assert not end.code\n"
        "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    for name in ("--budget", "--seeds", "--only", "--data_dir", "--output"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "give one table: resnet_na, vit, depth_width"),
        (["resnet"], 2, "Received: resnet"),
        (["vit", "--budget=huge"], 2, "smoke|cpu|full"),
        (["vit", "--seeds=0"], 2, "seeds"),
        (["vit", "--only=lng_7"], 1, "no row 'lng_7'. Its rows: ln, rms"),
        (["vit", "--sedes=3"], 2, "Did you mean: seeds"),
    ],
)
def test_mistakes_are_one_line(arguments, status, message, tmp_path):
    done = call(*arguments, f"--output={tmp_path}")
    assert done.returncode == status
    assert message in done.stderr
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_an_extra_that_is_not_installed_is_named_in_one_line():
    code = (
        "import sys; sys.modules['matplotlib'] = None; import reproduce\n"
        "from lng_keras._base.extras import needed\n"
        "reproduce.reproduce = lambda *given: needed('matplotlib', 'report')\n"
        "reproduce.main(['reproduce.py', 'theory'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 1, done.stderr
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: This needs matplotlib: pip install '.[report]'")


@pytest.mark.slow
def test_interrupted_smoke_table_continues_and_is_done_once(tmp_path):
    arguments = ["resnet_na", "--seeds=1", "--only=bn", f"--output={tmp_path}"]
    environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        [*PROGRAM, *arguments],
        cwd=ROOT,
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    ) as started:
        for line in started.stdout:
            if "tuning0.1" in line:  # train.py begins
                break
        time.sleep(4)
        started.send_signal(signal.SIGTERM)
        assert started.wait(timeout=120) == 130
    assert not list(tmp_path.rglob("seed0.json"))
    done = call(*arguments)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "table.md").exists()
    record = (tmp_path / "runs" / "bn" / "seed0.json").read_bytes()
    began = time.monotonic()
    again = call(*arguments)
    assert "1 of 1 runs are done" in again.stdout
    assert time.monotonic() - began < 10
    assert (tmp_path / "runs" / "bn" / "seed0.json").read_bytes() == record
