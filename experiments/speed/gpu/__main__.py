"""Checks and times grouped normalization on a GPU, on JAX and torch, in minutes.

    python -m experiments.speed.gpu --output=DIR
    python -m experiments.speed.gpu --output=DIR --rehearse   on a CPU, tiny

    python -m experiments.speed.gpu --output=DIR --draw       after a cut

Every case is a row of DIR/checks.csv or DIR/times.csv as soon as it is known, and
table.md grows with them; times.png is drawn when a framework is through, or by --draw.
Exit status: 0, all that was run is right; 1, something is wrong or failed; 2, a
mistake.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import time

from experiments.speed.gpu import cases, picture, records, table

# A compiler may be in the middle of something when the time is over.
PATIENCE = 25
# Of the time, for JAX, which has kernels of ours; torch is given what is left.
SHARE = {"jax": 0.55, "torch": 1.0}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m experiments.speed.gpu",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=pathlib.Path, required=True, help="a folder")
    parser.add_argument(
        "--seconds",
        type=float,
        help="after which nothing new is begun; default 200, so that all ends within "
        "240; of a rehearsal 90",
    )
    parser.add_argument("--framework", choices=cases.NAMES, help="default: both")
    parser.add_argument("--rehearse", action="store_true", help="on a CPU, tiny shapes")
    parser.add_argument("--draw", action="store_true", help="only draw what is there")
    given = parser.parse_args()
    if given.draw:
        picture.write(given.output)
        return
    given.output.mkdir(parents=True, exist_ok=True)
    try:
        records.start(given.output)
    except FileExistsError as error:
        parser.error(f"{error.filename} is there; give another folder")
    plan = cases.REHEARSAL if given.rehearse else cases.REAL
    seconds = given.seconds or (90 if given.rehearse else 200)
    started, problems, failed = time.time(), [], False
    for framework in [given.framework] if given.framework else cases.NAMES:
        until = started + seconds * (1 if given.framework else SHARE[framework])
        try:
            status = _run(framework, given, until)
        except subprocess.TimeoutExpired:
            problems.append(f"{framework} was stopped in the middle: out of time")
        else:
            if status:
                failed = True
                problems.append(f"{framework} ended with exit status {status}")
        table.write(given.output, plan, problems)
        picture.write(given.output)
    print((given.output / table.NAME).read_text())
    sys.exit(1 if failed or table.wrong(given.output) else 0)


def _run(framework, given, until):
    """Runs one framework's part; returns its exit status."""
    environment = {
        **os.environ,
        "KERAS_BACKEND": framework,
        "XLA_PYTHON_CLIENT_PREALLOCATE": "false",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }
    if given.rehearse:
        environment |= {"JAX_PLATFORMS": "cpu", "CUDA_VISIBLE_DEVICES": ""}
    command = [sys.executable, "-m", "experiments.speed.gpu.side"]
    command += [f"--framework={framework}", f"--output={given.output}"]
    command += [f"--until={until}"] + ["--rehearse"] * given.rehearse
    seconds = max(1, until + PATIENCE - time.time())
    return subprocess.run(command, env=environment, timeout=seconds).returncode


if __name__ == "__main__":
    main()
