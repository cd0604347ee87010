"""Stress of train.py and the layers: what was tried, and what was lost.

python -m tests.stress kill --times=30       # SIGKILL at random moments, then --resume
python -m tests.stress signals               # SIGTERM and SIGINT: saved within 10 s
python -m tests.stress disk                  # full disk, read-only folder
python -m tests.stress fuzz --times=300      # random flags: one line, no traceback
python -m tests.stress distributed           # two workers; kills of either
python -m tests.stress numerics --times=10000  # random layers against float64
python -m tests.stress streaming --times=10  # 2.5 GB of pixels; a million images
python -m tests.stress table                 # what results/reliability/ holds

Each prints what was tried and lost, and ends with status 1 if anything was lost;
--output=results/reliability also writes it down. The backend is KERAS_BACKEND's.
"""

import argparse
import pathlib
import sys
import time

from tests.stress import distributed, faults, fuzz, numerics, results, streaming

FAULTS = {
    "kill": faults.kill,
    "signals": faults.signals,
    "disk": faults.disk,
    "fuzz": fuzz.fuzz,
    "distributed": distributed.distributed,
    "numerics": numerics.numerics,
    "streaming": streaming.streaming,
}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests.stress",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("fault", choices=[*FAULTS, "table"])
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=pathlib.Path)
    arguments = parser.parse_args()
    if arguments.fault == "table":
        print(results.table(arguments.output or results.FOLDER))
        return
    started = time.time()
    outcome = FAULTS[arguments.fault](arguments.times, arguments.seed)
    print(outcome.summary)
    for line in outcome.lost:
        print("lost:", line)
    if arguments.output:
        seconds = time.time() - started
        results.write(arguments.output, arguments.fault, outcome, seconds)
    sys.exit(bool(outcome.lost))


if __name__ == "__main__":
    main()
