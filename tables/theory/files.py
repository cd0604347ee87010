"""How the experiments of the theory part write their numbers and pictures."""

import csv
import os
import pathlib


def read_csv(path):
    """Returns the rows of a CSV as dicts of strings; none if there is no file."""
    if not pathlib.Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_csv(path, rows):
    """Writes dicts with the same keys as a CSV, whole or not at all."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".csv.tmp")
    with open(temporary, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        for row in rows:
            writer.writerow(
                {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
            )
    os.replace(temporary, path)


def pyplot():
    """Returns matplotlib.pyplot, drawing to files only."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    return plt


def save_figure(figure, path):
    """Writes a figure as PNG, whole or not at all, and closes it."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp.png")
    figure.tight_layout()
    figure.savefig(temporary, dpi=130)
    pyplot().close(figure)
    os.replace(temporary, path)
