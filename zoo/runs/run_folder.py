"""The folder of a run: what was asked, on what it ran, and what came out.

    flags.txt       a flagfile that repeats the run
    env.json        versions, backend, devices, git commit, seed, data set
    metrics.jsonl   one row an epoch; metrics.csv the same
    tensorboard/    the same for TensorBoard
    curves.png      loss and accuracy over epochs
    checkpoints/    last, previous and best (zoo/runs/checkpoints.py)
    model.keras     the chosen model
    result.json     the final numbers

Every file but TensorBoard's, which grows, is written under a temporary name and then
renamed.
"""

import contextlib
import json
import os
import pathlib
import time

from lng_keras._base import files
from lng_keras._base.errors import UsageError


def default_path(settings):
    """Returns runs/MODEL_NORM_DATASET_seedN_DATE."""
    date = time.strftime("%Y%m%d-%H%M%S")
    name = f"{settings.model}_{settings.norm}_{settings.dataset}_seed{settings.seed}"
    return pathlib.Path("runs") / f"{name}_{date}"


def write_json(path, value):
    files.write(path, json.dumps(value, indent=2) + "\n")


def read_json(path, names=()):
    """Returns the object with these names that a file holds; a list if there are none.

    Raises UsageError if it holds something else; FileNotFoundError if it is absent.
    """
    try:
        held = json.loads(pathlib.Path(path).read_text())
    except ValueError as error:
        raise UsageError(f"{path} is no JSON ({error}); delete it") from error
    if not isinstance(held, dict if names else list) or not set(names) <= set(held):
        raise UsageError(f"{path} holds something else than train.py wrote; delete it")
    return held


def lock(folder):
    """Makes `folder` this process' own until it ends, however it ends.

    Returns:
        A descriptor to close at the end, or None where nothing can be locked.
    Raises:
        UsageError: if another living process has it. A dead one holds nothing: the
            operating system drops its lock.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        return None
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise UsageError(
            f"another process is training in {folder}; wait for it or give another "
            "--run_dir"
        ) from error
    except OSError:
        return descriptor  # a file system without locks
    return descriptor


@contextlib.contextmanager
def claimed(folder):
    """Makes `folder`, if it is absent, and locks it while this is entered.

    Nothing done leaves nothing: a folder that was made and stayed empty is removed.

    Args:
        folder: `pathlib.Path`.
    Raises:
        UsageError: if another process has it, or a file is where it would be.
    """
    existed = folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UsageError(
            f"{folder} is no folder, or below a file; give another --run_dir"
        ) from error
    descriptor = lock(folder)
    try:
        yield
    finally:
        if not existed and not any(folder.iterdir()):
            folder.rmdir()
        if descriptor is not None:
            os.close(descriptor)


def remove_temporary_files(folder):
    """Deletes what a killed run left half-written. The folder must be locked.

    Only where a run keeps its files, and only if there is one: the folder may be any.
    """
    folder = pathlib.Path(folder)
    if not (folder / "flags.txt").exists():
        return
    for place in (folder, folder / "checkpoints"):
        for pattern in (f"*{files.TEMPORARY}", f"*{files.TEMPORARY}.keras"):
            for path in place.glob(pattern):
                path.unlink()
