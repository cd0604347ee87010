"""Trains a compiled model epoch by epoch, so that any interruption can be continued.

The state of a run is every variable (weights, optimizer, metrics, random seeds) and
the position (epoch, batch); order and augmentation of the data are functions of the
position (zoo/data/batches.py). A run that is stopped after any batch and continued
gives, on a CPU, the same bits as one that was not stopped. The one exception: on torch
Keras' dropout draws from torch's global generator, which is not part of the state.
"""

import math
import time

import keras
import numpy as np

from zoo.data.batches import MadeAhead
from zoo.devices import workers
from zoo.runs import checkpoints
from zoo.training import evaluation
from zoo.training.optimization import innermost, learning_rate


class NonFiniteLoss(RuntimeError):
    """The loss or a weight became infinite or NaN."""


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
        model: compiled by `zoo.optimization.compile_model`.
        data: `zoo.data.Data`. After each epoch the validation split is evaluated, or
            the test split if there is none.
        make_batches: function (epoch, first_batch) -> the rest of that epoch, as
            batches or, if the model trains from them, `zoo.resident.Plans`.
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
        restore_state(model, state)  # once more when `fit` begins, see _Watch
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
        watch = _Watch(
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


class _Watch(keras.callbacks.Callback):
    """Follows one epoch, or the rest of one, batch by batch."""

    _AGREE_EVERY = 16  # batches after which several workers ask each other to stop

    def __init__(
        self, first, steps, step_offset, together, state, on_batch, should_stop, seconds
    ):
        super().__init__()
        self.done, self._first, self._offset = first, first, step_offset
        self._steps, self._together = steps, together
        self._state = state
        self._on_batch, self._should_stop = on_batch, should_stop
        self._until = time.monotonic() + seconds
        self.use_ema, self.logs = False, {}

    def on_epoch_begin(self, epoch, logs=None):
        # Not earlier: the first `fit` builds the model's metrics, which draws from the
        # seeds of dropout, and each `fit` resets the metrics.
        if self._state is not None:
            restore_state(self.model, self._state, metrics=self._first > 0)
            self._state = None

    def on_train_batch_end(self, batch, logs=None):
        before = self.done
        self.done = min(self._first + (batch + 1) * self._together, self._steps)
        # One number, or as many as a plan has steps.
        losses = np.ravel(logs["loss"])[: self.done - before]
        for i, loss in enumerate(losses, start=self._offset + self.done):
            if not math.isfinite(loss):
                raise NonFiniteLoss(
                    f"the training loss is {loss} at step {i - len(losses) + 1}"
                )
        loss = float(losses[-1])
        if self._on_batch is not None:
            self._on_batch(self.params["epochs"], self.done, loss)
        if (batch + 1) % self._AGREE_EVERY and workers.current().count > 1:
            return
        stop = self._should_stop() or time.monotonic() > self._until
        if any(workers.current().gather(int(stop))):
            self.model.stop_training = True

    def on_epoch_end(self, epoch, logs=None):
        self.logs = logs
        # At the end of `fit` Keras overwrites the weights by their average. This is
        # only the end of an epoch: `train` sets it back.
        optimizer = innermost(self.model.optimizer)
        self.use_ema, optimizer.use_ema = optimizer.use_ema, False


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


def collect_state(model):
    """Returns every variable of a compiled model as a dict of arrays."""
    groups = _variables(model)
    # Copies: on torch the array is the variable's own memory.
    state = {
        f"{group}_{i:04d}": np.array(keras.ops.convert_to_numpy(variable))
        for group, variables in groups.items()
        for i, variable in enumerate(variables)
    }
    return state


def restore_state(model, arrays, metrics=False):
    """Puts the arrays of `collect_state` back; those of the metrics if `metrics`.

    Raises:
        ValueError: if they are another model's or another optimizer's.
    """
    groups = _variables(model)
    expected = {
        f"{group}_{i:04d}": variable
        for group in ("model", "optimizer")
        for i, variable in enumerate(groups[group])
    }
    stored = {name for name in arrays if name.startswith(("model_", "optimizer_"))}
    if expected.keys() != stored or any(
        tuple(v.shape) != arrays[name].shape for name, v in expected.items()
    ):
        raise ValueError(
            f"The checkpoint has {len(arrays)} variables of another model or "
            f"optimizer than this one's {len(expected)}."
        )
    if metrics:
        for i, variable in enumerate(groups["metrics"]):
            expected[f"metrics_{i:04d}"] = variable
    for name, variable in expected.items():
        variable.assign(np.array(arrays[name]))


def _variables(model):
    return {
        "model": model.variables,
        "optimizer": model.optimizer.variables,
        "metrics": model.metrics_variables,
    }
