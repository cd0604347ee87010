"""Tables that grow by a row at a time, so that a cut loses nothing."""

import csv
import os

from experiments.machinery import files

CHECKS, TIMES = "checks.csv", "times.csv"
ENVIRONMENT = "environment_{}.json"  # of a framework
_COLUMNS = {
    CHECKS: ("framework", "form", "dtype", "size", "offset", "pass")
    + ("error", "bound", "verdict"),
    TIMES: ("framework", "where", "dtype", "size", "pass", "name")
    + ("microseconds", "low", "high", "repeats", "gb_per_s", "share_of_copy")
    + ("error", "note"),
}


def start(folder):
    """Writes the headers; a folder with an earlier measurement is refused."""
    for name, columns in _COLUMNS.items():
        with open(folder / name, "x", newline="") as file:
            csv.writer(file, lineterminator="\n").writerow(columns)


def append(folder, table, **row):
    """Adds a row, on the disk when this returns; numbers with five digits."""
    with open(folder / table, "a", newline="") as file:
        writer = csv.DictWriter(file, _COLUMNS[table], lineterminator="\n")
        writer.writerow(
            {k: f"{v:.5g}" if isinstance(v, float) else v for k, v in row.items()}
        )
        file.flush()
        os.fsync(file.fileno())


def read(folder, name):
    """Returns the rows as dicts of strings."""
    return files.read_csv(folder / name)
