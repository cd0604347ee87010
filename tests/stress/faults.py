"""Kills, signals and full disks: what a run must survive."""

import ctypes
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import tempfile
import time

from tests.stress.results import Outcome
from tests.stress.runs import (
    ROOT,
    TINY,
    command,
    differences,
    finish,
    one_line,
    outcome,
)


def kill(times, seed):
    """SIGKILL at random moments; each time the run goes on.

    One in five falls into the start; the others into training, the saving of
    checkpoints among it, or into the end: as long after the first step as the whole
    training takes, at most.
    """
    rng, lost, finished = random.Random(seed), [], 0
    killed = {"starting": 0, "training": 0}
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        started = time.monotonic()
        process = _start(scratch / "whole", *TINY)
        _wait_for_training(process)
        trains = time.monotonic()
        _, errors = process.communicate()
        if process.returncode:
            raise RuntimeError(f"the uninterrupted run failed: {errors}")
        starting, training = trains - started, time.monotonic() - trains
        expected = outcome(scratch / "whole")
        while sum(killed.values()) < times:
            folder = scratch / f"run{finished}"
            # Half the runs save after every batch, so that most kills fall into a save.
            often = f"--checkpoint_minutes={rng.choice([0, 10])}"
            while True:
                process = _start(folder, *TINY, "--resume_or_start", often)
                phase = "starting" if rng.random() < 0.2 else "training"
                if phase == "training":
                    _wait_for_training(process)
                wait = rng.uniform(0, starting if phase == "starting" else training)
                if sum(killed.values()) == times:
                    wait = None
                try:
                    _, errors = process.communicate(timeout=wait)
                    break
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.communicate()
                    killed[phase] += 1
            if process.returncode:
                lost.append(f"exit status {process.returncode}: {errors[-300:]}")
            else:
                lost += differences(folder, expected)
            finished += 1
            shutil.rmtree(folder, ignore_errors=True)
    summary = (
        f"killed {killed['starting']} times before and {killed['training']} times in "
        f"or after training, over {finished} runs of {training:.1f} s of training, all "
        f"resumed to their end; lost: {len(lost)}"
    )
    return Outcome(times, summary, lost)


def _start(folder, *flags):
    return subprocess.Popen(
        command(folder, *flags),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _wait_for_training(process):
    """Returns when the run says what it is about to train, or has ended."""
    for line in process.stdout:
        if " epochs of " in line:
            return


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
            process = _start(folder, *TINY)
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
    summary = f"stopped {tried} times, saved and ended within {slowest:.1f} s; "
    return Outcome(tried, summary + f"lost: {len(lost)}", lost)


def disk(times, seed):
    """File-size limits stand for a full disk; then a read-only folder."""
    rng, lost = random.Random(seed), []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        whole = scratch / "whole"
        finish(whole, *TINY)
        expected = outcome(whole)
        size = (whole / "checkpoints" / "last.npz").stat().st_size
        for i in range(times):
            folder = scratch / f"full{i}"
            limit = int(size * rng.uniform(0.02, 0.98))
            full = finish(folder, *TINY, preexec_fn=lambda n=limit: _limit_files(n))
            lost += one_line(full, 1, "File too large")
            after = finish(folder, *TINY, "--resume_or_start")
            lost += (
                [after.stderr] if after.returncode else differences(folder, expected)
            )
            shutil.rmtree(folder, ignore_errors=True)
        locked = scratch / "locked"
        locked.mkdir(mode=0o555)
        denied = finish(locked / "run", *TINY, preexec_fn=_obey_permissions)
        lost += one_line(denied, 1, "Permission denied")
    summary = f"{times} full disks and a read-only folder; lost: {len(lost)}"
    return Outcome(times + 1, summary, lost)


def _limit_files(size):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


def _obey_permissions():
    """Root may write everywhere, and would not notice a read-only folder.

    Without this one capability it does; another user could be one who may not run this
    Python at all.
    """
    drop_from_bounding_set, dac_override = 24, 1  # of linux/prctl.h and capability.h
    if os.geteuid() == 0:
        ctypes.CDLL(None).prctl(drop_from_bounding_set, dac_override, 0, 0, 0)
