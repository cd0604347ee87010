"""Reads and writes what is published: records, CSV files, pages and pictures.

Every file is written whole or not at all, and two invocations may share a folder.
Apart from `lng_keras._base.files` because that imports Keras: a finished table is read
in a second without.
"""

import contextlib
import csv
import io
import json
import os
import pathlib
import shutil


def write(path, content):
    """Writes text or bytes so that `path` holds either the old content or the new."""
    content = content.encode() if isinstance(content, str) else content
    with _replacing(path) as temporary:
        temporary.write_bytes(content)


def write_json(path, value):
    write(path, json.dumps(value, indent=1) + "\n")


def copy(source, target):
    """Copies a file so that the target is whole or not there; returns the target."""
    with _replacing(target) as temporary:
        shutil.copyfile(source, temporary)
    return pathlib.Path(target)


@contextlib.contextmanager
def _replacing(path):
    """Yields a path beside `path` to write to; renames it to `path` at the end."""
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.tmp")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def read_csv(path):
    """Returns the rows of a CSV as dicts of strings; none if there is no file."""
    if not pathlib.Path(path).exists():
        return []
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_csv(path, rows):
    """Writes dicts with the same keys as a CSV; floats with six digits."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow(
            {k: f"{v:.6g}" if isinstance(v, float) else v for k, v in row.items()}
        )
    write(path, text.getvalue())
