"""Follows the batches of an epoch: its losses, and whether it is time to stop."""

import math
import time

import keras
import numpy as np

from zoo.devices import workers
from zoo.errors import NonFiniteLoss
from zoo.training.loop.state import restore_state
from zoo.training.optimization import innermost


class Watch(keras.callbacks.Callback):
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
