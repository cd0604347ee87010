"""What every training of a search gets: the same batches in the same order."""

import keras
import numpy as np

from lng_keras.adopt import fingerprint


def fit_arguments(train, validation, batch_size):
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

    def __init__(self, make):
        super().__init__(workers=1)
        self.make = make
        self.begin(0)

    def begin(self, epoch):
        self.batches = self.make(epoch)

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, i):
        return self.batches[i]


class _Follow(keras.callbacks.Callback):
    """Tells `Epochs` which epoch begins: Keras' own call tells no number."""

    def __init__(self, epochs):
        super().__init__()
        self.epochs = epochs

    def __deepcopy__(self, memo):
        return _Follow(self.epochs)

    def on_epoch_begin(self, epoch, logs=None):
        self.epochs.begin(epoch)

    def on_train_end(self, logs=None):
        self.epochs.begin(0)  # Keras looks at a batch before the next one begins


def followers(x):
    return [_Follow(x)] if isinstance(x, Epochs) else []


def steps_of(x, batch_size):
    """Steps of an epoch, or None where that is not known."""
    if isinstance(x, np.ndarray):
        return -(-len(x) // batch_size)
    return _length(x)


def _length(dataset):
    try:
        return len(dataset)
    except TypeError:  # TensorFlow's have a length and may not know it
        return None


def data_fingerprint(fit):
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

    def __init__(self, say):
        super().__init__()
        self.say = say

    def __deepcopy__(self, memo):
        return Rung(self.say)  # KerasTuner copies callbacks; a print stays itself

    def on_train_end(self, logs=None):
        scores = {k: round(float(v), 4) for k, v in (logs or {}).items()}
        self.say(f"hyperband: {scores}")
