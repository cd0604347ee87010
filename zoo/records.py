"""What a session writes down: its circumstances, each epoch, the result."""

import math
import time

import keras
import numpy as np

from lng_keras import files, machine
from zoo import checkpoints, evaluation, export, run_folder, training, workers
from zoo import data as zoo_data
from zoo.errors import InputError

_TRAIN_ACCURACY_IMAGES = 50_000  # at most this many training images are evaluated


def describe(settings, data, folder, write_flags, checkpoint):
    """Writes flags.txt and env.json; on resuming compares with what was written.

    Args:
        settings: dict, the flags.
        data: `zoo.data.Data`.
        folder: path of the run.
        write_flags: function (settings) -> the text of flags.txt.
        checkpoint: what the run goes on from, or None.
    Raises:
        InputError: if the run began with other data or on another backend.
    """
    environment = run_folder.describe_environment()
    environment["workers"] = workers.current().count
    environment["seed"] = settings["seed"]
    environment["data"] = {
        "name": data.name,
        "source": data.source,
        "train": len(data.train),
        "validation": len(data.validation) if data.validation else 0,
        "test": len(data.test),
        "sha256": zoo_data.checksum(data),
    }
    path = folder / "env.json"
    if checkpoint and path.exists():
        _compare(run_folder.read_json(path), environment, settings["allow_changes"])
    if not workers.current().chief:
        return
    run_folder.write_json(path, environment)
    files.write(folder / "flags.txt", write_flags(settings))


def _compare(old, new, allow_changes):
    """Refuses to go on with other data or another backend; warns of other versions."""
    for what, before, now in (
        ("backend", old["backend"], new["backend"]),
        ("data set", old["data"]["sha256"], new["data"]["sha256"]),
    ):
        if before != now and not allow_changes:
            raise InputError(
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
        settings: dict, the flags.
        rows: those of earlier sessions.
    """

    _SECONDS_BETWEEN_CURVES = 30

    def __init__(self, folder, settings, rows):
        self._folder, self._chief = folder, workers.current().chief
        self._title = f"{settings['model']} {settings['norm']}, {settings['dataset']}"
        self._epochs, self._drawn = settings["epochs"], -math.inf
        if self._chief:
            run_folder.write_metrics(folder, rows)
            self._board = run_folder.TensorBoard(folder, rows)

    def __call__(self, rows):
        """Writes the last of all rows so far; returns it as a line to be read."""
        if self._chief:
            run_folder.write_metrics(self._folder, rows)
            self._board.write(rows[-1])
            due = time.monotonic() - self._drawn > self._SECONDS_BETWEEN_CURVES
            if due or rows[-1]["epoch"] == self._epochs:
                run_folder.draw_curves(self._folder, rows, self._title)
                self._drawn = time.monotonic()
        return _epoch_line(rows[-1], self._epochs)

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        if self._chief:
            self._board.__exit__(*exception)


def _epoch_line(row, epochs):
    name = "validation" if "validation_loss" in row else "test"
    return (
        f"epoch {row['epoch']:>{len(str(epochs))}}/{epochs}  train loss "
        f"{row['train_loss']:.4f} accuracy {row['train_accuracy']:.4f}  {name} loss "
        f"{row[f'{name}_loss']:.4f} accuracy {row[f'{name}_accuracy']:.4f}  "
        f"{row['images_per_second']:,.0f} images/s"
    )


def finish(model, data, settings, folder, outcome, started):
    """Evaluates the chosen epoch, writes model.keras and result.json."""
    if outcome["best_epoch"] != settings["epochs"]:
        path = folder / "checkpoints" / checkpoints.BEST
        arrays, meta = checkpoints.load(path)
        if meta["best"]["epoch"] != outcome["best_epoch"]:
            raise InputError(
                f"{path} holds epoch {meta['best']['epoch']}, but the best one was "
                f"{outcome['best_epoch']}; delete the run's folder and start again"
            )
        training.restore_state(model, arrays)
    student = evaluation.classifier(model)
    train = data.train
    if len(train) > _TRAIN_ACCURACY_IMAGES:
        # Of all classes alike: image folders and some records are sorted by class.
        chosen = zoo_data.balanced_choice(train.labels, _TRAIN_ACCURACY_IMAGES)
        train = train.take(chosen)
    with evaluation.averaged_weights(model):
        scores = {
            name: evaluation.evaluate(model, split)
            for name, split in (
                *(("test", data.test), ("train", train)),
                *([("validation", data.validation)] if data.validation else []),
            )
        }
        if workers.current().chief:
            export.save(student, folder / "model.keras")
    rows = outcome["rows"]
    result = {
        f"{name}_{quantity}": value
        for name, score in scores.items()
        for quantity, value in score.items()
    }
    result |= {
        "epochs": settings["epochs"],
        "best_epoch": outcome["best_epoch"],
        "parameters": student.count_params(),
        # Of all sessions of the run, without their starts but the last one's.
        "seconds": round(
            sum(row["seconds"] + row["evaluation_seconds"] for row in rows), 1
        ),
        "images_per_second": float(np.median([r["images_per_second"] for r in rows])),
        "session_seconds": round(time.time() - started, 1),
        "dataset": settings["dataset"],
        "train_examples": len(data.train),
        "seed": settings["seed"],
        "model": settings["model"],
        "norm": settings["norm"],
        "backend": keras.backend.backend(),
        "cores": machine.cores(),
    }
    if workers.current().chief:
        run_folder.write_json(folder / "result.json", result)
        # Last: whatever an exporter does, the run is finished and kept.
        export_formats(folder, settings["export"])
    return result


def export_formats(folder, kinds):
    """Writes the formats of --export beside the model.keras of a finished run."""
    for kind in kinds:
        from lng_keras.export import export as export_model

        model = export.load(folder / "model.keras")
        done = export_model(model, str(folder / f"model_{kind}"), kind)
        print(
            f"Exported {done['path']}: {done['difference']:.1g} from Keras, "
            f"{done['bytes'] / 1e6:.1f} MB."
        )


def last_line(result, folder):
    return (
        f"Test accuracy {result['test_accuracy']:.4f} after {result['epochs']} epochs, "
        f"{result['seconds']:.0f} s of training; everything is in {folder}"
    )
