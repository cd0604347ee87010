"""What a session writes down: its circumstances, each epoch, the result."""

import math
import statistics
import time

from lng_keras._base import files
from lng_keras._base.errors import UsageError
from zoo import data as zoo_data
from zoo.devices import workers
from zoo.runs import environment, metrics, run_folder


def describe(settings, data, folder, flags, checkpoint):
    """Writes flags.txt and env.json; on resuming compares with what was written.

    Args:
        settings: `zoo.training.settings.Settings`.
        data: `zoo.data.Data`.
        folder: path of the run.
        flags: str, the text of flags.txt.
        checkpoint: what the run goes on from, or None.
    Raises:
        UsageError: if the run began with other data or on another backend.
    """
    facts = environment.describe()
    facts["workers"] = workers.current().count
    facts["seed"] = settings.seed
    facts["data"] = {
        "name": data.name,
        "source": data.source,
        "train": len(data.train),
        "validation": len(data.validation) if data.validation else 0,
        "test": len(data.test),
        "sha256": zoo_data.checksum(data),
    }
    path = folder / "env.json"
    if checkpoint and path.exists():
        old = run_folder.read_json(path, ("backend", "data", "versions"))
        _compare(old, facts, settings.allow_changes)
    if not workers.current().chief:
        return
    run_folder.write_json(path, facts)
    files.write(folder / "flags.txt", flags)


def _compare(old, new, allow_changes):
    """Refuses to go on with other data or another backend; warns of other versions."""
    for what, before, now in (
        ("backend", old["backend"], new["backend"]),
        ("data set", old["data"]["sha256"], new["data"]["sha256"]),
    ):
        if before != now and not allow_changes:
            raise UsageError(
                f"the run's {what} was {before}, now it is {now}, which changes the "
                f"result; use the same {what}, or say --allow_changes"
            )
    differing = [
        f"{name} {old['versions'].get(name, 'absent')} -> {version}"
        for name, version in new["versions"].items()
        if old["versions"].get(name) != version
    ]
    if differing:
        print(f"Warning: other versions than before: {', '.join(differing)}.")


class Log:
    """Writes down each epoch, while entered: metrics, TensorBoard, curves.

    Only the chief worker writes.

    Args:
        folder: path of the run.
        settings: `zoo.training.settings.Settings`, complete.
        rows: those of earlier sessions.
    """

    _SECONDS_BETWEEN_CURVES = 30

    def __init__(self, folder, settings, rows):
        self._folder, self._chief = folder, workers.current().chief
        self._title = f"{settings.model} {settings.norm}, {settings.dataset}"
        self._train_label = _train_label(settings)
        self._epochs, self._drawn = settings.epochs, -math.inf
        if self._chief:
            metrics.write(folder, rows)
            self._board = metrics.TensorBoard(folder, rows)

    def __call__(self, rows):
        """Writes the last of all rows so far; returns it as a line to be read."""
        if self._chief:
            metrics.write(self._folder, rows)
            self._board.write(rows[-1])
            due = time.monotonic() - self._drawn > self._SECONDS_BETWEEN_CURVES
            if due or rows[-1]["epoch"] == self._epochs:
                metrics.draw(self._folder, rows, self._title, self._train_label)
                self._drawn = time.monotonic()
        return _epoch_line(rows, self._epochs)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._chief:
            self._board.__exit__(*exception)


def _train_label(settings):
    """Says why the curve of the training images is not to be held against the other.

    It is measured while the weights change, on what the model is trained on.
    """
    how = [
        *([f"labels smoothed by {settings.label_smoothing:g}"]
          if settings.label_smoothing else []),
        *([f"augmented: {settings.augment}"] if settings.augment != "none" else []),
        *(["dropout"] if settings.dropout or settings.stochastic_depth else []),
        *(["distance to the teacher"] if settings.teacher else []),
    ]  # fmt: skip
    return "\n".join(["train, mean while training", *how])


def _time_left(rows, epochs):
    """What an epoch takes, times those to come; the first one also compiles."""
    taken = [row["seconds"] + row["evaluation_seconds"] for row in rows[1:]]
    return statistics.median(taken) * (epochs - len(rows)) if taken else None


def duration(seconds):
    """Returns seconds as text, such as "2:05" or "1:02:05"."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def _epoch_line(rows, epochs):
    row, left = rows[-1], _time_left(rows, epochs)
    name = "validation" if "validation_loss" in row else "test"
    ahead = f"  {duration(left)} left" if left else ""
    return (
        f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  train loss "
        f"{row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}  {name} loss "
        f"{row[f'{name}_loss']:.4f} accuracy {row[f'{name}_accuracy']:.4f}  "
        f"{row['images_per_second']:,.0f} images/s{ahead}"
    )


def _in_all(result):
    """What the last session took, its start and end included, where that is known."""
    taken = result.get("session_seconds")
    return f", {duration(taken)} in all" if taken else ""


def last_line(result, folder):
    return (
        f"Test accuracy {result['test_accuracy']:.4f} after {result['epochs']} epochs, "
        f"{result['seconds']:.0f} s of training{_in_all(result)}; everything is in "
        f"{folder}"
    )
