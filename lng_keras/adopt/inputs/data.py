"""Training and validation examples, and which models can take them."""

import dataclasses
from collections.abc import Sequence

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras.adopt import fingerprint


@dataclasses.dataclass
class Data:
    """Training and validation examples.

    Attributes:
        x, y: training inputs and integer labels.
        x_val, y_val: the same for validation.
        description: str, one line for the report.
    """

    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    description: str

    def fingerprint(self) -> str:
        """Short digest of all examples."""
        return fingerprint.of_arrays((self.x, self.y, self.x_val, self.y_val))


def check(data: Data, model: keras.Model, shape: Sequence[int], classes: int) -> Data:
    """Refuses examples that the model cannot take."""
    for x, y in ((data.x, data.y), (data.x_val, data.y_val)):
        if len(x) != len(y) or not len(x):
            raise UsageError(
                f"{data.description}: {len(x)} inputs and {len(y)} labels; there must "
                "be as many, and at least one for training and validation each."
            )
        if x.shape[1:] != tuple(shape):
            raise UsageError(
                f"{data.description}: inputs of shape {x.shape[1:]} do not fit the "
                f"model {model.name!r}, which takes {shape}."
            )
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise UsageError(
                f"{data.description}: labels must be integers of shape (n,). "
                f"Received: {y.dtype} of shape {y.shape}."
            )
        limit = max(classes, 2)
        if y.min() < 0 or y.max() >= limit:
            raise UsageError(
                f"{data.description}: labels go from {y.min()} to {y.max()}, but the "
                f"model {model.name!r} has {limit} classes, 0 to {limit - 1}."
            )
    return data
