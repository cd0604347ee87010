"""A classifier of integer labels: its loss and metric, and what it gets right.

Its outputs are logits or probabilities, and one output means two classes.
"""

from collections.abc import Callable

import keras
import numpy as np

from lng_keras.adopt.activation import output_activation
from lng_keras.adopt.inputs import Data
from lng_keras.adopt.trainings.pixels import scaled


def compiled(
    model: keras.Model, learning_rate: float, metric: str = "accuracy"
) -> keras.Model:
    """Compiles a classifier for integer labels, logits or probabilities."""
    activation = output_activation(model)
    if model.output_shape[-1] == 1:
        loss = keras.losses.BinaryCrossentropy(from_logits=activation != "sigmoid")
        metrics = [keras.metrics.BinaryAccuracy(name=metric)]
        metrics[0].threshold = _threshold(model)
    else:
        loss = keras.losses.SparseCategoricalCrossentropy(
            from_logits=activation != "softmax"
        )
        metrics = [keras.metrics.SparseCategoricalAccuracy(name=metric)]
    model.compile(keras.optimizers.Adam(learning_rate), loss, metrics=metrics)
    return model


def evaluator(
    data: Data, pixels: str, batch_size: int = 32
) -> Callable[[keras.Model], float]:
    """A function from a classifier to its accuracy on the validation examples."""
    x = scaled(data.x_val, pixels)
    return lambda model: float(np.mean(correct(model, x, data.y_val, batch_size)))


def correct(
    model: keras.Model, x: np.ndarray, y: np.ndarray, batch_size: int
) -> list[int]:
    """For each example 1 where the model is right and 0 where not."""
    outputs = model.predict(x, batch_size=batch_size, verbose=0)
    if outputs.shape[-1] == 1:
        predicted = outputs[:, 0] > _threshold(model)
    else:
        predicted = outputs.argmax(-1)
    return (predicted == y).astype(int).tolist()


def _threshold(model):
    """Above what the one output of a binary classifier means the second class."""
    return 0.5 if output_activation(model) == "sigmoid" else 0.0
