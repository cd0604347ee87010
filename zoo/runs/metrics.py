"""The rows of a run's epochs as files: for programs, TensorBoard and people."""

import csv
import io
import json
import pathlib

from lng_keras._base import files


def write(folder, rows):
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


def draw(folder, rows, title, train_label="train"):
    """Draws curves.png: loss and accuracy over epochs. Skipped without matplotlib.

    Args:
        folder, rows: of the run.
        title: str.
        train_label: str, what the curve of the training images is, and how they and
            their labels were changed, since the other curve's were not.
    """
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
                label = train_label if split == "train" else f"{split}, as it is"
                axes.plot(epochs, values, marker=".", label=label)
        axes.set(xlabel="epoch", ylabel=quantity)
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small")
    figure.suptitle(title)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120)
    files.write(pathlib.Path(folder) / "curves.png", picture.getvalue())
