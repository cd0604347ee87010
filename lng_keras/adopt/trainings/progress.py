"""Lines that tell how far a long computation is."""

import sys
import time
from collections.abc import Callable

import keras

Say = Callable[[str], object]  # takes a line of text


def to_stderr(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


class Progress(keras.callbacks.Callback):
    """One line an epoch, and one every ten seconds within."""

    def __init__(self, say: Say, epochs: int):
        super().__init__()
        self.say, self.epochs, self.epoch = say, epochs, 0
        self.last = time.monotonic()

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch + 1

    def on_train_batch_end(self, batch, logs=None):
        if time.monotonic() - self.last > 10:
            self.last = time.monotonic()
            self.say(f"epoch {self.epoch}/{self.epochs}, step {batch + 1}")

    def on_epoch_end(self, epoch, logs=None):
        self.last = time.monotonic()
        self.say(
            f"epoch {self.epoch}/{self.epochs}: loss {logs['loss']:.3f}, "
            f"validation accuracy {logs['val_accuracy']:.3f}"
        )
