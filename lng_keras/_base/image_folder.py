"""Image files below a folder that has one folder a class."""

import collections
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


# What systems leave in folders: archives of macOS, Windows, network drives.
_NOT_OF_PEOPLE = (
    *("__macosx", "thumbs.db", "desktop.ini", "$recycle.bin", "lost+found", "@eadir"),
    "system volume information",
)


def _of_people(name):
    """Whether a person may have given a file or folder this name; hidden ones not."""
    return not name.startswith(".") and name.lower() not in _NOT_OF_PEOPLE


def class_names(folder: str | os.PathLike[str]) -> tuple[str, ...]:
    """Returns the sorted names of the folders in a folder.

    Hidden ones and those that no person made, such as `__MACOSX`, are no class.
    """
    entries = (entry for entry in os.scandir(folder) if entry.is_dir())
    return tuple(sorted(e.name for e in entries if _of_people(e.name)))


def images_of(
    folder: str | os.PathLike[str], names: Sequence[str]
) -> tuple[Files, np.ndarray, collections.Counter[str]]:
    """Lists `folder/NAME/**` by class and path.

    Args:
        names: tuple of str, the classes; `folder` may lack some.
    Returns:
        `Files`, their labels `(n,)` int64, positions in `names`, and how many files
        were skipped for what reason, see `skipped_line`.
    Raises:
        UsageError: for a folder that cannot be listed.
    """
    skipped: collections.Counter[str] = collections.Counter()
    paths = [_list(folder, name, skipped) for name in names]
    labels = np.repeat(np.arange(len(names)), [len(p) for p in paths])
    for entry in os.scandir(folder):
        if entry.name not in names:
            loose = entry.is_file() and entry.name.lower().endswith(SUFFIXES)
            skipped[_OUTSIDE if loose else _why(entry.name)] += 1
    files = Files(str(folder), np.concatenate([np.array([], "S1"), *paths]))
    return files, labels, skipped


_SYSTEM = "with names that systems give (__MACOSX, ._*, .DS_Store)"
_OUTSIDE = "in no class folder"


def _why(name):
    """Why a file that is no image of a class is skipped."""
    if not _of_people(name):
        return _SYSTEM
    ending = os.path.splitext(name)[1].lower()
    return f"ending in {ending}" if ending else "without an ending"


def skipped_line(skipped: collections.Counter[str]) -> str:
    """Says in words what was skipped, such as "skipped 2 ending in .tiff"; or ""."""
    if not skipped:
        return ""
    told = ", ".join(f"{count:,} {why}" for why, count in skipped.most_common(8))
    return f"skipped {told}; read are {', '.join(SUFFIXES)}"


def _list(folder, name, skipped):
    def fail(error):
        if not isinstance(error, FileNotFoundError):
            raise UsageError(
                f"{error.filename} cannot be listed ({error.strerror}); make it "
                "readable"
            ) from error

    found, skip = [], len(os.path.join(str(folder), ""))
    for where, folders, names in os.walk(os.path.join(folder, name), onerror=fail):
        skipped[_SYSTEM] += sum(not _of_people(inside) for inside in folders)
        folders[:] = filter(_of_people, folders)
        for name in names:
            if _of_people(name) and name.lower().endswith(SUFFIXES):
                found.append(os.fsencode(os.path.join(where[skip:], name)))
            else:
                skipped[_why(name)] += 1
    skipped += collections.Counter()  # drops what was counted 0 times
    return np.sort(np.array(found, dtype=np.bytes_))
