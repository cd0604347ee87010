"""What every training of a search gets: the same batches in the same order."""

import dataclasses
from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from lng_keras.adopt import fingerprint
from lng_keras.adopt.search.space import Candidate
from lng_keras.adopt.trainings import settle


@dataclasses.dataclass(frozen=True)
class Trainer:
    """Makes and trains candidates, all in the same way.

    Attributes:
        build: function from a candidate to a new model.
        compile: function that compiles a model.
        fit: dict, of `fit_arguments`.
        steps: int, of an epoch, or None where that is not known.
        objective: str, the metric that counts on validation.
        epochs: int, of a whole training.
    """

    build: Callable[[Candidate], keras.Model]
    compile: Callable[[keras.Model], object]
    fit: dict[str, Any]
    steps: int | None
    objective: str
    epochs: int

    def made(self, candidate: Candidate, seed: int) -> keras.Model:
        """A candidate, compiled."""
        keras.utils.set_random_seed(seed)
        model = self.build(candidate)
        self.compile(model)
        if self.steps:
            settle(model, self.steps)
        return model

    def score(self, candidate: Candidate, seed: int) -> float:
        """The objective of a candidate after a whole training."""
        history = self.made(candidate, seed).fit(
            **self.fit, epochs=self.epochs, verbose=0, callbacks=self.callbacks()
        )
        return float(history.history[f"val_{self.objective}"][-1])

    def callbacks(self) -> list[keras.callbacks.Callback]:
        return followers(self.fit["x"])


def fit_arguments(
    train: Any, validation: Any, batch_size: int | None
) -> dict[str, Any]:
    """The data as arguments of `fit`; see `search_group_size`."""
    if isinstance(train, tuple):
        return dict(
            x=train[0], y=train[1], validation_data=validation, batch_size=batch_size
        )
    if callable(train) and not isinstance(train, keras.utils.PyDataset):
        # Keras would shuffle the batches, by random numbers of its own.
        return dict(x=Epochs(train), validation_data=validation, shuffle=False)
    return dict(x=train, validation_data=validation)


class Epochs(keras.utils.PyDataset):
    """The batches of one epoch after the other, from a function of its number."""

    def __init__(self, make: Callable[[int], keras.utils.PyDataset]):
        super().__init__(workers=1)
        self.make = make
        self.begin(0)

    def begin(self, epoch: int) -> None:
        self.batches = self.make(epoch)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


class _Follow(keras.callbacks.Callback):
    """Tells `Epochs` which epoch begins: Keras' own call tells no number."""

    def __init__(self, epochs: Epochs):
        super().__init__()
        self.epochs = epochs

    def __deepcopy__(self, memo):
        return _Follow(self.epochs)

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.begin(epoch)

    def on_train_end(self, logs=None):
        self.epochs.begin(0)  # Keras looks at a batch before the next one begins


def followers(x: Any) -> list[keras.callbacks.Callback]:
    """What `fit` needs to be called back by for its data `x`."""
    return [_Follow(x)] if isinstance(x, Epochs) else []


def steps_of(x: Any, batch_size: int) -> int | None:
    """Steps of an epoch, or None where that is not known."""
    if isinstance(x, np.ndarray):
        return -(-len(x) // batch_size)
    return _length(x)


def _length(dataset):
    try:
        return len(dataset)
    except TypeError:  # TensorFlow's have a length and may not know it
        return None


def data_fingerprint(fit: dict[str, Any]) -> list[str]:
    """Digests of the training and the validation data in the arguments of `fit`.

    Of arrays all, and of a function of the epoch its first batch. A dataset may be
    shuffled anew each time: of it only kind and length.
    """
    train = (fit["x"], fit["y"]) if "y" in fit else fit["x"]
    return [_digest(train), _digest(fit["validation_data"])]


def _digest(data):
    if isinstance(data, Epochs):
        data = data[0]
    if not isinstance(data, tuple):
        return f"{type(data).__name__} of {_length(data)}"
    return fingerprint.of_arrays(
        keras.ops.convert_to_numpy(part) for part in keras.tree.flatten(data)
    )


class Rung(keras.callbacks.Callback):
    """One line for each of Hyperband's trainings."""

    def __init__(self, say: Callable[[str], object]):
        super().__init__()
        self.say = say

    def __deepcopy__(self, memo):
        return Rung(self.say)  # KerasTuner copies callbacks; a print stays itself

    def on_train_end(self, logs=None):
        scores = {k: round(float(v), 4) for k, v in (logs or {}).items()}
        self.say(f"hyperband: {scores}")
