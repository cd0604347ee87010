"""Checkpoints that survive a kill, a full disk and a flipped bit.

A checkpoint is one .npz file (`numpy.load` reads it): every variable of the model,
the optimizer and the metrics, and `meta`, JSON as bytes. Its zip comment ends in the
SHA-256 of all bytes before it, so that damage of any kind is noticed. A file appears
under its name only when it is complete, and the one before is kept: `last.npz`,
`previous.npz`.
"""

import hashlib
import json
import os
import pathlib
import shutil
import zipfile

import numpy as np

from lng_keras._base.errors import UsageError

LAST, PREVIOUS, BEST = "last.npz", "previous.npz", "best.npz"
_MARK = b"sha256:"
_COMMENT = len(_MARK) + 64


def save(folder, arrays, meta):
    """Writes `last.npz`; the one before becomes `previous.npz`.

    Args:
        folder: path; made if absent.
        arrays: dict of name -> array, no objects.
        meta: what json can hold.
    Raises:
        OSError: if the disk is full or read-only. Earlier checkpoints are intact.
    """
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f"{LAST}.tmp"
    try:
        _write(temporary, arrays, meta)
        if (folder / LAST).exists():
            os.replace(folder / LAST, folder / PREVIOUS)
        os.replace(temporary, folder / LAST)
        _sync(folder)
    finally:
        temporary.unlink(missing_ok=True)


def keep_as_best(folder):
    """Copies `last.npz` to `best.npz`; does nothing if it was damaged and is gone."""
    folder = pathlib.Path(folder)
    if not (folder / LAST).exists():
        return
    temporary = folder / f"{BEST}.tmp"
    try:
        temporary.unlink(missing_ok=True)
        try:
            os.link(folder / LAST, temporary)  # no second copy on the disk
        except OSError:
            shutil.copyfile(folder / LAST, temporary)
        os.replace(temporary, folder / BEST)
    finally:
        temporary.unlink(missing_ok=True)


def load(path):
    """Reads a checkpoint as `(arrays, meta)`.

    Raises:
        UsageError: if it is truncated or changed since it was written.
        FileNotFoundError: if there is none.
    """
    path = pathlib.Path(path)
    expected, actual = _read_digest(path), _digest(path)
    if expected != actual:
        raise UsageError(
            f"checkpoint {path} is damaged: its SHA-256 is {actual[:16]}..., it was "
            f"written with {expected[:16] or 'none'}"
        )
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    return arrays, json.loads(arrays.pop("meta").tobytes())


def load_newest(folder, say=print):
    """Reads `last.npz`, or `previous.npz` if it is damaged, which `say` is told.

    A damaged file is deleted, so that it cannot take the place of a good one.

    Returns:
        `(arrays, meta)`, or None if there is no checkpoint at all.
    Raises:
        UsageError: if there are checkpoints and all are damaged.
    """
    folder = pathlib.Path(folder)
    damaged = []
    for name in (LAST, PREVIOUS):
        try:
            checkpoint = load(folder / name)
        except FileNotFoundError:
            continue
        except UsageError as error:
            damaged.append(folder / name)
            say(f"{error}. Trying the one before.")
            continue
        for path in damaged:
            path.unlink(missing_ok=True)  # another worker may have been faster
        return checkpoint
    if damaged:
        raise UsageError(
            f"all checkpoints in {folder} are damaged; delete the run's folder and "
            "start again"
        )
    return None


def _write(path, arrays, meta):
    meta = np.frombuffer(json.dumps(meta).encode(), np.uint8)
    with open(path, "wb") as file:
        with zipfile.ZipFile(file, "w") as archive:
            for name, array in {**arrays, "meta": meta}.items():
                # A fixed date: equal states give equal files.
                entry = zipfile.ZipInfo(f"{name}.npy", (1980, 1, 1, 0, 0, 0))
                with archive.open(entry, "w", force_zip64=True) as member:
                    array = np.asarray(array)
                    np.lib.format.write_array(member, array, allow_pickle=False)
            archive.comment = _MARK + b"0" * 64
    digest = _digest(path)
    with open(path, "r+b") as file:
        file.seek(-_COMMENT, os.SEEK_END)
        file.write(_MARK + digest.encode())
        file.flush()
        os.fsync(file.fileno())


def _digest(path):
    """SHA-256, as hex, of the file without its comment."""
    digest, left = hashlib.sha256(), os.path.getsize(path) - _COMMENT
    with open(path, "rb") as file:
        while left > 0 and (chunk := file.read(min(left, 1 << 20))):
            digest.update(chunk)
            left -= len(chunk)
    return digest.hexdigest()


def _read_digest(path):
    with open(path, "rb") as file:
        file.seek(max(0, os.path.getsize(path) - _COMMENT))
        comment = file.read()
    if not comment.startswith(_MARK):
        return ""
    return comment[len(_MARK) :].decode("ascii", "replace")


def _sync(folder):
    """Makes renames in `folder` last through a power cut, where the system can."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)
