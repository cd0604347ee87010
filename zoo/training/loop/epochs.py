"""Trains a compiled model epoch by epoch, so that any interruption can be continued.

The state of a run is every variable (weights, optimizer, metrics, random seeds) and
the position (epoch, batch); order and augmentation of the data are functions of the
position (zoo/data/batches.py). A run that is stopped after any batch and continued
gives, on a CPU, the same bits as one that was not stopped. The one exception: on torch
Keras' dropout draws from torch's global generator, which is not part of the state.
"""

import math
import time

import numpy as np

from zoo.data.batches import MadeAhead
from zoo.devices import workers
from zoo.errors import NonFiniteLoss
from zoo.runs import checkpoints
from zoo.training import evaluation
from zoo.training.loop.state import collect_state, restore_state
from zoo.training.loop.watch import Watch
from zoo.training.optimization import innermost, learning_rate


class Stopped(RuntimeError):
    """The run was asked to stop and saved its state."""


def train(
    model,
    data,
    make_batches,
    *,
    epochs,
    batch_size,
    folder=None,
    on_epoch=None,
    on_batch=None,
    should_stop=lambda: False,
    checkpoint_minutes=10.0,
    resume_from=None,
):
    """Trains until `epochs` are done.

    Args:
        model: compiled by `optimization.compile_model`.
        data: `zoo.data.Data`. After each epoch the validation split is evaluated, or
            the test split if there is none.
        make_batches: function (epoch, first_batch) -> the rest of that epoch, as
            batches or, if the model trains from them, `zoo.devices.resident.Plans`.
        epochs: int.
        batch_size: int, examples a batch; those beyond the last whole batch of an
            epoch are left out.
        folder: path for checkpoints, or None for none.
        on_epoch: function called with all rows so far after each epoch.
        on_batch: function (epoch, batches done, mean loss of the epoch so far).
        should_stop: function; true makes the run save its state and stop.
        checkpoint_minutes: float, time between checkpoints within a long epoch.
        resume_from: `(arrays, meta)` of a checkpoint, or None.

    Returns:
        `{"rows", "best_epoch"}`: a dict for each epoch, and the epoch whose weights
        were chosen, from 1: highest validation accuracy, the first of equal ones.
        Without a validation split it is the last, for to choose by test accuracy
        would be to train on the test images.
    Raises:
        NonFiniteLoss: with the step; the last checkpoint is from before.
        Stopped: if `should_stop`, after the state was saved.
    """
    worker = workers.current()
    steps = len(data.train) // batch_size
    position = {"epoch": 0, "batch": 0, "seconds": 0.0}
    rows, best, state = [], {"epoch": 0, "accuracy": -1.0}, None
    if resume_from is not None:
        state, meta = resume_from
        position, rows, best = meta["position"], meta["rows"], meta["best"]
        restore_state(model, state)  # once more when `fit` begins, see Watch
        at_end = position["batch"] == 0 and position["epoch"] == best["epoch"]
        if at_end and folder is not None and worker.chief:
            checkpoints.keep_as_best(folder)  # a kill may have come before it was

    def save():
        if folder is not None:
            arrays = collect_state(model)
            if not all(np.isfinite(a).all() for a in arrays.values()):
                raise NonFiniteLoss(
                    f"a weight is not finite after step {_step(position, steps)}"
                )
            meta = {"position": position, "rows": rows, "best": best, "steps": steps}
            if worker.chief:
                checkpoints.save(folder, arrays, meta)

    def stopping():
        return any(worker.gather(int(should_stop())))

    while position["epoch"] < epochs:
        epoch, first = position["epoch"], position["batch"]
        batches = make_batches(epoch, first)
        together = getattr(batches, "steps", 1)
        watch = Watch(
            first, steps, epoch * steps, together, state, on_batch, should_stop,
            checkpoint_minutes * 60 if folder is not None else math.inf,
        )  # fmt: skip
        started = time.perf_counter()
        state = None
        model.fit(
            # Others are data sets of the backend already.
            batches.for_keras() if isinstance(batches, MadeAhead) else batches,
            initial_epoch=epoch,
            epochs=epoch + 1,
            steps_per_epoch=-(-(steps - first) // together),
            shuffle=False,  # Keras would shuffle the batches, from no seed of ours
            verbose=0,
            callbacks=[watch],
        )
        innermost(model.optimizer).use_ema = watch.use_ema
        position["seconds"] += time.perf_counter() - started
        position["batch"] = watch.done
        if watch.done < steps:  # asked to stop, or time to save
            save()
            if stopping():
                raise Stopped(f"stopped after step {_step(position, steps)}")
            state = collect_state(model)
            continue
        evaluating = time.perf_counter()
        row = _row(model, data, watch.logs, position, steps, batch_size)
        if not math.isfinite(row["train_loss"] + _held_out(row)[0]):
            raise NonFiniteLoss(
                f"the loss of held-out images is not finite after step "
                f"{_step(position, steps)}"
            )
        rows.append(row)
        chosen = data.validation is None or _held_out(row)[1] > best["accuracy"]
        if chosen:
            best = {"epoch": epoch + 1, "accuracy": _held_out(row)[1]}
        position = {"epoch": epoch + 1, "batch": 0, "seconds": 0.0}
        row["evaluation_seconds"] = round(time.perf_counter() - evaluating, 3)
        save()
        if chosen and folder is not None and worker.chief:
            checkpoints.keep_as_best(folder)
        if on_epoch is not None:
            on_epoch(rows)
        if stopping() and epoch + 1 < epochs:
            raise Stopped(f"stopped after step {_step(position, steps)}")
    return {"rows": rows, "best_epoch": best["epoch"]}


def _row(model, data, logs, position, steps, batch_size):
    """One line of metrics.jsonl."""
    name, split = "validation", data.validation
    if split is None:
        name, split = "test", data.test
    with evaluation.averaged_weights(model):
        held_out = evaluation.evaluate(model, split)
    return {
        "epoch": position["epoch"] + 1,
        "step": (position["epoch"] + 1) * steps,
        "train_loss": float(logs["loss"]),
        "train_accuracy": float(logs["accuracy"]),
        f"{name}_loss": held_out["loss"],
        f"{name}_accuracy": held_out["accuracy"],
        "learning_rate": learning_rate(model.optimizer),
        "seconds": round(position["seconds"], 3),
        "images_per_second": round(steps * batch_size / position["seconds"], 1),
        "finished_at": round(time.time(), 1),
    }


def _held_out(row):
    """Returns loss and accuracy of the images that did not train."""
    name = "validation" if "validation_loss" in row else "test"
    return row[f"{name}_loss"], row[f"{name}_accuracy"]


def _step(position, steps):
    return position["epoch"] * steps + position["batch"]
