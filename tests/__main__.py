"""Runs every check there is: format, lint, imports, and the tests on each backend.

    python -m tests                      all
    python -m tests --backend=jax        one backend, without the other checks
    python -m tests --coverage           also: the branches that no test takes

Every test runs on every backend but those that a marker excuses: see tests/backends.py.
The last lines tell how many ran, and why the others did not.
"""

import argparse
import collections
import os
import pathlib
import subprocess
import sys
import tempfile
import xml.etree.ElementTree
from typing import NamedTuple

from tests import coverage

try:
    from tests.backends import BACKENDS, EXCUSED
except ModuleNotFoundError as missing:
    sys.exit(f"{missing}: pip install '.[train,jax,torch,test]'")

ROOT = pathlib.Path(__file__).parent.parent
_SCRIPTS = pathlib.Path(sys.executable).parent
# What is said of the files without running them.
CHECKS = (
    (sys.executable, "-m", "ruff", "check", "--quiet", "."),
    (sys.executable, "-m", "ruff", "format", "--check", "--quiet", "."),
    (str(_SCRIPTS / "lint-imports"), "--no-logo"),
    (sys.executable, "-m", "mypy", "--no-error-summary"),
)
# Two processes: more take more than the 7 GB of a small machine. Each begins with half
# of the tests, file by file, so that a file's models are seldom built in both.
PYTEST = (
    *(sys.executable, "-m", "pytest", "--no-header", "-n2", "--dist=worksteal"),
    *("--tb=short", "--durations=5", "--durations-min=5"),
)


class Tally(NamedTuple):
    """How many tests ran, and how many did not for which reason."""

    ran: int
    excused: collections.Counter
    skipped: collections.Counter

    def __str__(self):
        parts = [f"{self.ran} ran"]
        for name, reasons in (("excused", self.excused), ("skipped", self.skipped)):
            parts.append(f"{reasons.total()} {name}")
        lines = [", ".join(parts)]
        for name, reasons in (("excused", self.excused), ("skipped", self.skipped)):
            lines += [f"  {n:4} {name}: {why}" for why, n in reasons.most_common()]
        return "\n".join(lines)


def tally(path):
    """Counts the tests of a JUnit report."""
    excused, skipped = collections.Counter(), collections.Counter()
    cases = list(xml.etree.ElementTree.parse(path).iter("testcase"))
    for case in cases:
        for element in case.iter("skipped"):
            reason = element.get("message")
            if reason.startswith(EXCUSED):
                excused[reason.removeprefix(EXCUSED)] += 1
            else:
                skipped[reason] += 1
    return Tally(len(cases) - excused.total() - skipped.total(), excused, skipped)


def succeeds(command, **variables):
    shown = [f"{k}={v}" for k, v in variables.items() if k == "KERAS_BACKEND"]
    shown += [os.path.basename(word) for word in command if not word.startswith("-")]
    print(f"\n=== {' '.join(shown)}", flush=True)
    quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
    environment = {**quiet, **os.environ, **variables}
    return not subprocess.run(command, env=environment, cwd=ROOT).returncode


def main():
    parser = argparse.ArgumentParser(
        prog="python -m tests",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--backend", choices=BACKENDS)
    parser.add_argument("--coverage", action="store_true")
    arguments = parser.parse_args()
    failed, told = [], []
    for command in () if arguments.backend else CHECKS:
        if not succeeds(command):
            failed.append(" ".join(map(os.path.basename, command)))
    with tempfile.TemporaryDirectory() as folder:
        for backend in [arguments.backend] if arguments.backend else BACKENDS:
            report = pathlib.Path(folder, f"{backend}.xml")
            command, variables = [*PYTEST, f"--junitxml={report}"], {}
            if arguments.coverage:
                command += coverage.ARGUMENTS
                variables = coverage.variables(folder, backend)
            if not succeeds(command, KERAS_BACKEND=backend, **variables):
                failed.append(f"tests on {backend}")
            told.append(f"{backend}: {tally(report) if report.exists() else 'none'}")
        if arguments.coverage:
            told.append(coverage.summary(folder))
    print("\n" + "\n".join(told))
    if failed:
        sys.exit("\nFailed: " + "; ".join(failed))
    print("\nAll checks passed.")


if __name__ == "__main__":
    main()
