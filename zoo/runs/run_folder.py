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
import csv
import io
import json
import os
import pathlib
import platform
import subprocess
import sys
import time

from lng_keras._base import files, machine
from lng_keras._base.errors import UsageError

_PACKAGES = (
    *("keras", "numpy", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "torch"),
    *("tensorflow-datasets", "keras-cv", "pillow"),
)
_ROOT = pathlib.Path(__file__).resolve().parents[2]


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
def claimed(folder, resume):
    """Makes `folder`, if it is absent, and locks it while this is entered.

    Nothing done leaves nothing: a folder that was made and stayed empty is removed.

    Args:
        folder: `pathlib.Path`.
        resume: bool, whether it may hold a run already.
    Raises:
        UsageError: if it holds a run and `resume` is false, another process has it,
            or a file is where it would be.
    """
    if not resume and (folder / "flags.txt").exists():
        raise UsageError(
            f"{folder} holds a run; --resume continues it, another --run_dir starts one"
        )
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


def describe_environment():
    """Returns versions, backend, devices and git commit as a dict for env.json."""
    import keras

    import lng_keras

    return {
        "backend": keras.backend.backend(),
        "devices": machine.devices(keras.backend.backend()),
        "processor": machine.processor(),
        "cores": machine.cores(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {"lng_keras": lng_keras.__version__, **machine.versions(_PACKAGES)},
        "git": git_commit(),
        "command": sys.argv,
    }


def git_commit(root=_ROOT):
    """Returns the commit and whether files differ from it, or None outside git."""

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", root, *arguments], capture_output=True, text=True, timeout=10
        )

    try:
        commit = git("rev-parse", "HEAD")
        if commit.returncode:
            return None
        # results/ holds what runs gave: a table that grows changes no code.
        of_code = ("--", ":/", ":(top,exclude)results")
        status = git("status", "--porcelain", "--untracked-files=no", *of_code)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"commit": commit.stdout.strip(), "changed": bool(status.stdout.strip())}


def write_metrics(folder, rows):
    """Writes all rows to metrics.jsonl and metrics.csv.

    The rows come from the checkpoint, and both files are written anew, so that an
    interruption can neither lose nor double an epoch.
    """
    folder = pathlib.Path(folder)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    files.write(folder / "metrics.jsonl", lines)
    table = io.StringIO()
    if rows:
        writer = csv.DictWriter(table, rows[0].keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    files.write(folder / "metrics.csv", table.getvalue())


class TensorBoard:
    """Writes rows as TensorBoard scalars. Does nothing where it is not installed.

    Args:
        folder: of the run.
        rows: those of earlier sessions. The file is written anew from them.
    """

    def __init__(self, folder, rows=()):
        try:
            from tensorboard.compat.proto.event_pb2 import Event
            from tensorboard.compat.proto.summary_pb2 import Summary
            from tensorboard.summary.writer.record_writer import RecordWriter
        except ImportError:
            self._file = None
            return
        self._event, self._summary = Event, Summary
        path = pathlib.Path(folder) / "tensorboard" / "events.out.tfevents.0.run"
        path.parent.mkdir(exist_ok=True)
        self._file = open(path, "wb")  # noqa: SIM115, open as long as the run lasts
        self._records = RecordWriter(self._file)
        self._records.write(Event(file_version="brain.Event:2").SerializeToString())
        for row in rows:
            self.write(row)
        self._file.flush()

    def write(self, row):
        if self._file is None:
            return
        values = [
            self._summary.Value(tag=name, simple_value=value)
            for name, value in row.items()
            if name not in ("epoch", "finished_at")
        ]
        event = self._event(
            wall_time=row["finished_at"],
            step=row["epoch"],
            summary=self._summary(value=values),
        )
        self._records.write(event.SerializeToString())
        self._file.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._file is not None:
            self._file.close()


def draw_curves(folder, rows, title):
    """Draws curves.png: loss and accuracy over epochs. Skipped without matplotlib."""
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        return
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    FigureCanvasAgg(figure)
    epochs = [row["epoch"] for row in rows]
    for axes, quantity in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split in ("train", "validation", "test"):
            if f"{split}_{quantity}" in rows[0]:
                values = [row[f"{split}_{quantity}"] for row in rows]
                axes.plot(epochs, values, marker=".", label=split)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.grid(alpha=0.3)
        axes.legend()
    figure.suptitle(title)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    files.write(pathlib.Path(folder) / "curves.png", picture.getvalue())
