"""Image files below a folder that has one folder a class."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.images import SUFFIXES


@dataclasses.dataclass(frozen=True)
class Files:
    """Files below a folder.

    Args:
        folder: str.
        paths: array of n byte strings, relative to it: a quarter of the memory that
            text takes in NumPy.
    """

    folder: str
    paths: np.ndarray

    def __len__(self):
        return len(self.paths)

    def name(self, i: int) -> str:
        return os.path.join(self.folder, os.fsdecode(self.paths[i]))

    def read(self, i: int) -> bytes:
        with open(self.name(i), "rb") as file:
            return file.read()

    def subset(self, indices: np.ndarray) -> "Files":
        return Files(self.folder, self.paths[indices])

    def update(self, digest: Any) -> None:
        """Adds names and sizes to a checksum: to read all would take hours."""
        for i in range(len(self)):
            digest.update(self.paths[i])
            digest.update(b" %d" % os.stat(self.name(i)).st_size)


def class_names(folder: str | os.PathLike[str]) -> tuple[str, ...]:
    """Returns the sorted names of the folders in a folder; hidden ones are no class."""
    entries = (entry for entry in os.scandir(folder) if entry.is_dir())
    return tuple(sorted(e.name for e in entries if not e.name.startswith(".")))


def images_of(
    folder: str | os.PathLike[str], names: Sequence[str]
) -> tuple[Files, np.ndarray]:
    """Lists `folder/NAME/**` by class and path.

    Args:
        names: tuple of str, the classes; `folder` may lack some.
    Returns:
        `Files` and their labels `(n,)` int64, positions in `names`.
    Raises:
        UsageError: for a folder that cannot be listed.
    """
    paths = [_list(folder, name) for name in names]
    labels = np.repeat(np.arange(len(names)), [len(p) for p in paths])
    return Files(str(folder), np.concatenate([np.array([], "S1"), *paths])), labels


def _list(folder, name):
    def fail(error):
        if not isinstance(error, FileNotFoundError):
            raise UsageError(
                f"{error.filename} cannot be listed ({error.strerror}); make it "
                "readable"
            ) from error

    found, skip = [], len(os.path.join(str(folder), ""))
    for where, _, names in os.walk(os.path.join(folder, name), onerror=fail):
        found += [
            os.fsencode(os.path.join(where[skip:], name))
            for name in names
            if name.lower().endswith(SUFFIXES)
        ]
    return np.sort(np.array(found, dtype=np.bytes_))
