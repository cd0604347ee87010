"""One framework's part, in a process of its own; `__main__` starts it."""

import argparse
import datetime
import importlib
import math
import pathlib
import subprocess
import sys
import time

from experiments.machinery import files, timing
from experiments.speed.gpu import cases, checks, records, table, times

NO_GPU = 2  # exit status


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments.speed.gpu.side")
    parser.add_argument("--framework", choices=cases.NAMES, required=True)
    parser.add_argument("--output", type=pathlib.Path, required=True)
    parser.add_argument("--until", type=float, required=True, help="epoch seconds")
    parser.add_argument("--rehearse", action="store_true")
    given = parser.parse_args()
    side = importlib.import_module(f"experiments.speed.gpu.{given.framework}_side")
    if not given.rehearse and not side.has_gpu():
        print(f"{given.framework} sees no GPU; --rehearse needs none", file=sys.stderr)
        sys.exit(NO_GPU)
    plan = cases.REHEARSAL if given.rehearse else cases.REAL
    measure(given.framework, side, plan, given.output, given.until)


def measure(framework, side, plan, folder, until=math.inf):
    """Writes the framework's part of every file in a folder that `records` started."""
    found = environment(framework)
    path = folder / records.ENVIRONMENT.format(framework)
    files.write_json(path, found)
    say(f"{framework} on {found['device']}: checks")
    checks.run(framework, side, plan, folder)
    files.write_json(path, {**found, "dispatch": side.dispatch()})
    for group in times.run(framework, side, plan, folder):
        table.write(folder, plan)
        if time.time() > until:
            say(f"{framework}: out of time")
            return
        say(f"{framework}: {group.where} {group.dtype} groups of {group.size}")
    table.write(folder, plan)


def environment(framework):
    """What the numbers were measured on, when, and of which commit."""
    return {
        **timing.environment(framework),
        "driver": _printed(
            "nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"
        ),
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "git": _printed("git", "describe", "--always", "--dirty"),
    }


def _printed(*command):
    """What a program prints, or None where it is not there or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return None
    return done.stdout.strip()


def say(line):
    print(f"{time.strftime('%H:%M:%S')} {line}", flush=True)


if __name__ == "__main__":
    main()
