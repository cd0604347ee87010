"""Two workers on this machine: the curve of one, and the death of either."""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import numpy as np

from tests.stress.results import Outcome
from tests.stress.runs import ROOT, command, finish, outcome

RUN = (
    *("--model=vit", "--depth=1", "--width=16", "--heads=2", "--norm=lng"),
    *("--batch_size=16", "--train_examples=480", "--epochs=6", "--warmup_epochs=1"),
    "--checkpoint_minutes=0",
)
TOLERANCE = 1e-3  # of losses after 180 steps, which add floats in another order
SECONDS = 60  # a dead worker must have ended the run by then


def environments(workers=2):
    """Returns the environment of each worker on loopback, on either engine."""
    with socket.create_server(("127.0.0.1", 0)) as one:
        with socket.create_server(("127.0.0.1", 0)) as other:
            ports = [server.getsockname()[1] for server in (one, other)]
    addresses = [f"127.0.0.1:{port}" for port in ports][:workers]
    for index in range(workers):
        task = {"type": "worker", "index": index}
        yield {
            **os.environ,
            "TF_CONFIG": json.dumps({"cluster": {"worker": addresses}, "task": task}),
            "KERAS_DISTRIBUTION_JOB_ADDRESSES": ",".join(addresses),
            "KERAS_DISTRIBUTION_NUM_PROCESSES": str(workers),
            "KERAS_DISTRIBUTION_PROCESS_ID": str(index),
        }


def start(folders, *flags):
    """Starts a worker for each folder; returns the processes."""
    return [
        subprocess.Popen(
            command(folder, *RUN, "--distribute=multi_worker", *flags),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for folder, environment in zip(folders, environments(), strict=True)
    ]


def ends(processes, seconds=600):
    """Waits for all; returns `(status, stderr)` of each."""
    results, deadline = [], time.monotonic() + seconds
    for process in processes:
        try:
            _, errors = process.communicate(timeout=deadline - time.monotonic())
        except subprocess.TimeoutExpired:
            process.kill()
            _, errors = process.communicate()
            errors += f"\nstill there after {seconds} s"
        results.append((process.returncode, errors))
    return results


def unlike(folder, expected):
    """Returns what differs beyond float error, and what was left behind."""
    wrong, actual = [], outcome(folder)
    if len(actual["rows"]) != len(expected["rows"]):
        return [f"{len(actual['rows'])} epochs instead of {len(expected['rows'])}"]
    for a, b in zip(actual["rows"], expected["rows"], strict=True):
        for name in ("train_loss", "test_loss"):
            if not np.isclose(a[name], b[name], rtol=TOLERANCE):
                wrong.append(f"epoch {b['epoch']}: {name} {a[name]}, not {b[name]}")
    return wrong + [f"left {p.name}" for p in folder.rglob("*.tmp*")]


def distributed(times, seed):
    """Two workers against one; then each is killed in turn and the run resumed."""
    rng, lost = random.Random(seed), []
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        one = finish(scratch / "one", *RUN)
        if one.returncode:
            raise RuntimeError(f"the run of one worker failed: {one.stderr}")
        expected = outcome(scratch / "one")
        # The second worker is given a folder of its own: it must not write there.
        folders = [scratch / "two", scratch / "untouched"]
        started = time.monotonic()
        results = ends(start(folders))
        duration = time.monotonic() - started
        lost += [errors[-400:] for status, errors in results if status]
        lost += lost or unlike(scratch / "two", expected)
        if folders[1].exists():
            lost.append("a worker that is not the chief wrote files")
        if lost:
            return Outcome(1, "two workers do not train as one", lost)
        two = outcome(scratch / "two")
        equal, slowest = 0, 0.0
        for i in range(times):
            folder, victim = scratch / f"run{i}", i % 2
            processes = start([folder, folder])
            time.sleep(rng.uniform(0.5, 0.95) * duration)
            processes[victim].send_signal(signal.SIGKILL)
            killed = time.monotonic()
            results = ends(processes, SECONDS)
            slowest = max(slowest, time.monotonic() - killed)
            lost += said(*results[1 - victim], f"worker {victim} of 2 is gone")
            results = ends(start([folder, folder], "--resume"))
            lost += [errors[-400:] for status, errors in results if status]
            lost += unlike(folder, expected)
            equal += outcome(folder) == two
            shutil.rmtree(folder, ignore_errors=True)
    summary = (
        f"two workers: {len(expected['rows'])} epochs with the losses of one\n"
        f"{times} times one of two workers was killed; the other ended within "
        f"{slowest:.1f} s; resumed, {equal} bit for bit as without a kill; "
        f"lost: {len(lost)}"
    )
    return Outcome(times + 1, summary, lost)


def said(status, errors, words):
    """Returns what is wrong with how the other worker ended."""
    if status == 0:
        return []  # it had finished
    lines = [line for line in errors.splitlines() if line.startswith("error")]
    if status != 1 or len(lines) != 1 or words not in lines[0]:
        return [f"status {status}: {errors[-600:]}"]
    return []
