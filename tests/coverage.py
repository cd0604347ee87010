"""Which lines and branches the tests of all backends take, by package."""

import collections
import json
import os
import pathlib
import subprocess
import sys

LOW = 90  # percent; a file below it is named
ARGUMENTS = ("--cov", "--cov-report=")


def variables(folder, backend):
    """Where pytest-cov leaves what one backend has taken."""
    return {"COVERAGE_FILE": str(pathlib.Path(folder, f"taken-on-{backend}"))}


def summary(folder):
    """Returns a line for each package and each file below LOW."""
    folder = pathlib.Path(folder)
    parts = [str(path) for path in folder.glob("taken-on-*")]
    report = folder / "taken.json"
    for arguments in (
        ["combine", "--quiet", *parts],
        ["json", "--quiet", "-o", report],
    ):
        subprocess.run(
            [sys.executable, "-m", "coverage", *arguments],
            env={**os.environ, "COVERAGE_FILE": str(folder / "taken")},
            check=True,
        )
    return told(json.loads(report.read_text())["files"])


def told(files):
    """Returns the text for the `files` of coverage's JSON report."""
    of_package = collections.defaultdict(lambda: [0, 0])
    low = []
    for path, file in files.items():
        counts = file["summary"]
        taken = counts["covered_lines"] + counts["covered_branches"]
        whole = counts["num_statements"] + counts["num_branches"]
        parents = pathlib.PurePath(path).parent.parts[:2]
        for package in {parents[0], "/".join(parents)}:
            of_package[package][0] += taken
            of_package[package][1] += whole
        if 100 * taken < LOW * whole:
            low.append(f"  {100 * taken / whole:5.1f} %  {path}")
    lines = ["Lines and branches taken:"]
    for package, (taken, whole) in sorted(of_package.items()):
        if whole:
            lines.append(f"  {100 * taken / whole:5.1f} %  {package}")
    return "\n".join([*lines, f"Files below {LOW} %:", *sorted(low)])
