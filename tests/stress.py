"""Stress of train.py: kills, signals, full disks and random flags, counted.

python -m tests.stress kill --times=30     # SIGKILL at random moments, then --resume
python -m tests.stress signals             # SIGTERM and SIGINT: saved within 10 s
python -m tests.stress disk                # full disk, read-only folder
python -m tests.stress fuzz --times=300    # random flags: one line, never a traceback

Each prints what was tried and lost, and ends with status 1 if anything was lost.
"""

import argparse
import contextlib
import io
import json
import os
import pathlib
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parent.parent
TINY = (
    *("--model=ln_net", "--depth=1", "--width=8", "--group_size=4", "--norm=lng"),
    *("--batch_size=16", "--train_examples=480", "--epochs=5", "--ema=0.9"),
)
TIMES = ("seconds", "evaluation_seconds", "images_per_second", "finished_at")


def command(folder, *flags):
    return [sys.executable, "train.py", f"--run_dir={folder}", *flags]


def finish(folder, *flags, preexec=None):
    """Runs train.py to its end; returns the completed process."""
    return subprocess.run(
        command(folder, *flags),
        cwd=ROOT,
        capture_output=True,
        text=True,
        preexec_fn=preexec,
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


def kill(times, seed):
    """SIGKILL at random moments; each time the run goes on with --resume."""
    rng = random.Random(seed)
    lost, killed, finished = [], 0, 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        started = time.monotonic()
        done = finish(scratch / "whole", *TINY)
        if done.returncode:
            raise RuntimeError(f"the uninterrupted run failed: {done.stderr}")
        duration = time.monotonic() - started
        expected = outcome(scratch / "whole")
        while killed < times:
            folder = scratch / f"run{finished}"
            # Half the runs save after every batch, so that most kills fall into a save.
            often = f"--checkpoint_minutes={rng.choice([0, 10])}"
            while killed < times or folder.exists():
                process = subprocess.Popen(
                    command(folder, *TINY, "--resume", often),
                    cwd=ROOT,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                )
                try:
                    # Resumed runs are shorter: most kills fall after the start.
                    wait = rng.uniform(0.3, 1.0) * duration if killed < times else None
                    _, errors = process.communicate(timeout=wait)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    killed += 1
                    continue
                if process.returncode:
                    lost.append(f"exit status {process.returncode}: {errors[-300:]}")
                else:
                    lost += differences(folder, expected)
                finished += 1
                break
            shutil.rmtree(folder, ignore_errors=True)
    print(f"killed {killed} times over {finished} runs, lost: {len(lost)}")
    return lost


def signals(times, seed):
    """SIGTERM and SIGINT at random moments of training."""
    rng = random.Random(seed)
    lost, slowest, tried = [], 0.0, 0
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        finish(scratch / "whole", *TINY)
        expected = outcome(scratch / "whole")
        for i in range(times):
            number = (signal.SIGTERM, signal.SIGINT)[i % 2]
            folder = scratch / f"run{i}"
            process = subprocess.Popen(
                command(folder, *TINY),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            while process.poll() is None and not (folder / "metrics.jsonl").exists():
                time.sleep(0.05)
            time.sleep(rng.uniform(0, 1.0))
            process.send_signal(number)
            sent = time.monotonic()
            out, errors = process.communicate()
            slowest = max(slowest, time.monotonic() - sent)
            if process.returncode == 0:
                continue  # it had finished
            tried += 1
            if process.returncode != 128 + number or "--resume --run_dir=" not in out:
                lost.append(f"exit status {process.returncode}: {errors[-300:]}")
            done = finish(folder, "--resume")
            lost += [done.stderr] if done.returncode else differences(folder, expected)
    if slowest > 10:
        lost.append(f"the slowest end took {slowest:.1f} s")
    print(f"stopped {tried} times, at most {slowest:.1f} s, lost: {len(lost)}")
    return lost


def disk(times, seed):
    """A file-size limit stands for a full disk; a read-only folder is one."""
    lost = []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        whole = scratch / "whole"
        finish(whole, *TINY)
        expected = outcome(whole)
        size = (whole / "checkpoints" / "last.npz").stat().st_size

        def limit():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(
                resource.RLIMIT_FSIZE, (size // 2, resource.RLIM_INFINITY)
            )

        full = finish(scratch / "full", *TINY, preexec=limit)
        lost += one_line(full, 1, "File too large")
        after = finish(scratch / "full", *TINY, "--resume")
        lost += (
            [after.stderr]
            if after.returncode
            else differences(scratch / "full", expected)
        )
        tried = 1
        if os.geteuid() == 0:
            print("read-only folder: not tried, root may write everywhere")
        else:
            locked = scratch / "locked"
            locked.mkdir(mode=0o500)
            lost += one_line(finish(locked / "run", *TINY), 1, "Permission denied")
            tried += 1
    print(f"{tried} disk faults, lost: {len(lost)}")
    return lost


def one_line(process, status, words):
    """Returns what is wrong with an error message: it must be one line."""
    errors = [line for line in process.stderr.splitlines() if line.startswith("error")]
    if "Traceback" in process.stderr:
        return [f"traceback: {process.stderr[-400:]}"]
    if process.returncode != status or len(errors) != 1 or words not in errors[0]:
        return [f"status {process.returncode}: {process.stderr[-400:]}"]
    return []


VALUES = {
    "model": ("ln_net", "vit", "resnet_na", "ln_net", "vgg", ""),
    "norm": ("bn", "ln", "gn", "in", "rms", "lng", "lng_position", "none", "xn"),
    "groups": ("1", "2", "3", "0", "-1", "x"),
    "group_size": ("1", "2", "4", "7", "100000", "1.5"),
    "depth": ("1", "8", "0", "5"),
    "width": ("4", "8", "12", "1", "-3"),
    "heads": ("1", "2", "3", "0"),
    "patch_size": ("16", "8", "5", "64"),
    "pool": ("mean", "token", "max"),
    "activation": ("relu", "gelu", "rellu", "none"),
    "dropout": ("0", "0.5", "1", "nan"),
    "stochastic_depth": ("0.1", "2"),
    "dataset": ("cifar10_sample", "folder", "cifar10_sample", "nothing_like_it"),
    "data_dir": ("/nowhere", "."),
    "train_examples": ("32", "20", "100000", "-1", "1"),
    "validation_examples": ("10", "5000", "1"),
    "image_size": ("0", "8", "-1"),
    "augment": ("none", "crop", "crop_flip", "cut"),
    "optimizer": ("adamw", "sgd", "adam"),
    "learning_rate": ("0.1", "0", "1e30", "-1", "nan", "inf"),
    "warmup_epochs": ("0", "0.5", "100", "nan"),
    "weight_decay": ("0", "0.1", "1e9", "nan"),
    "label_smoothing": ("0", "0.5", "1"),
    "clip_norm": ("0", "1", "-1", "nan"),
    "ema": ("0", "0.9", "1"),
    "seed": ("0", "1", "-1", "99999999999"),
    "mixed_precision": ("none", "bfloat16", "float16", "int8"),
    "steps_per_execution": ("1", "2", "1000", "0"),
    "checkpoint_minutes": ("0", "1", "-1"),
    "grayscale": ("true", "false", "maybe"),
    "random_labels": ("true", "false"),
    "resume": ("true", "false"),
    "evaluate": ("/nowhere/model.keras", "no_preset"),
    "init": ("/nowhere/model.keras", "no_preset"),
    "batch_size": ("16", "32", "64", "0", "3"),
    "nothing": ("1",),
}


def fuzz(times, seed):
    """Random flags in this process: success, or status 1 or 2 with one line."""
    import keras

    import train
    import train_flags

    rng, lost, trained = random.Random(seed), [], 0
    common = ["--model=ln_net", "--depth=1", "--width=8", "--group_size=4"]
    common += ["--train_examples=32", "--epochs=1", "--batch_size=16"]
    with tempfile.TemporaryDirectory() as scratch:
        for i in range(times):
            names = rng.sample(sorted(VALUES), rng.choice([1, 1, 2, 2, 3, 4, 6]))
            chosen = [f"--{name}={rng.choice(VALUES[name])}" for name in names]
            arguments = [f"--run_dir={scratch}/{i}", *common, *chosen]
            train_flags.FLAGS.unparse_flags()
            keras.config.set_dtype_policy("float32")
            keras.utils.clear_session(free_memory=False)
            out, errors = io.StringIO(), io.StringIO()
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(errors):
                try:
                    train.main(["train.py", *arguments])
                    trained += 1
                    problem = ""
                except SystemExit as end:
                    problem = "" if end.code in (1, 2) else f"status {end.code}"
                    lines = re.findall("^error: .+$", errors.getvalue(), re.MULTILINE)
                    if len(lines) != 1:
                        problem = f"no single line: {errors.getvalue()[-300:]!r}"
                except BaseException:  # what the user would see as a traceback
                    problem = traceback.format_exc()[-600:]
            if problem:
                lost.append(f"{' '.join(chosen)}: {problem}")
            shutil.rmtree(f"{scratch}/{i}", ignore_errors=True)
    print(
        f"{times} random sets of flags: {trained} trained, {times - trained} refused "
        f"in one line, lost: {len(lost)}"
    )
    return lost


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("fault", choices=["kill", "signals", "disk", "fuzz"])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    faults = {"kill": kill, "signals": signals, "disk": disk, "fuzz": fuzz}
    lost = faults[arguments.fault](arguments.times, arguments.seed)
    for line in lost:
        print("lost:", line)
    sys.exit(bool(lost))


if __name__ == "__main__":
    main()
