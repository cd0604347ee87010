"""The end of a run: evaluates the chosen epoch, writes model.keras and result.json."""

import time

import keras
import numpy as np

from lng_keras._base import machine
from lng_keras._base.errors import UsageError
from zoo import data as zoo_data
from zoo.devices import workers
from zoo.runs import checkpoints, model_files, run_folder
from zoo.training import evaluation
from zoo.training.loop.state import restore_state

_TRAIN_ACCURACY_IMAGES = 50_000  # at most this many training images are evaluated


def finish(model, data, settings, folder, outcome, started):
    """Evaluates the chosen epoch, writes model.keras and result.json."""
    if outcome["best_epoch"] != settings.epochs:
        path = folder / "checkpoints" / checkpoints.BEST
        arrays, meta = checkpoints.load(path)
        if meta["best"]["epoch"] != outcome["best_epoch"]:
            raise UsageError(
                f"{path} holds epoch {meta['best']['epoch']}, but the best one was "
                f"{outcome['best_epoch']}; delete the run's folder and start again"
            )
        restore_state(model, arrays)
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
            model_files.save(student, folder / "model.keras")
    rows = outcome["rows"]
    result = {
        f"{name}_{quantity}": value
        for name, score in scores.items()
        for quantity, value in score.items()
    }
    result |= {
        "epochs": settings.epochs,
        # Whose weights these are. Never the best by test accuracy, see loop/epochs.py.
        "chosen_epoch": outcome["best_epoch"],
        "chosen_by": "validation accuracy" if data.validation else "being the last",
        "parameters": student.count_params(),
        # Of all sessions of the run, without their starts but the last one's.
        "seconds": round(
            sum(row["seconds"] + row["evaluation_seconds"] for row in rows), 1
        ),
        "images_per_second": float(np.median([r["images_per_second"] for r in rows])),
        "session_seconds": round(time.time() - started, 1),
        "dataset": settings.dataset,
        "train_examples": len(data.train),
        "seed": settings.seed,
        "model": settings.model,
        "norm": settings.norm,
        "backend": keras.backend.backend(),
        "cores": machine.cores(),
    }
    if workers.current().chief:
        run_folder.write_json(folder / "result.json", result)
        # Last: whatever an exporter does, the run is finished and kept.
        export_formats(folder, settings.export)
    return result


def export_formats(folder, kinds):
    """Writes the formats of --export beside the model.keras of a finished run."""
    for kind in kinds:
        from lng_keras.adopt.export import export as export_model

        model = model_files.load(folder / "model.keras")
        done = export_model(model, str(folder / f"model_{kind}"), kind)
        print(
            f"Exported {done['path']}: {done['difference']:.1g} from Keras, "
            f"{done['bytes'] / 1e6:.1f} MB."
        )
