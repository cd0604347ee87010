"""Which examples are used, and which of them for validation."""

import numpy as np

from lng_keras.adopt.inputs.data import Data

VALIDATION_FRACTION = 0.2


def counts(examples: int) -> tuple[int, int]:
    """How many of `examples` are for training, and how many for validation."""
    train = int(examples * (1 - VALIDATION_FRACTION))
    return train, examples - train


def chosen(count: int, examples: int) -> np.ndarray:
    """Which `examples` of `count` are used: drawn, as files may be sorted by class."""
    return np.random.default_rng(0).permutation(count)[:examples]


def parts(train: int, validation: int, examples: int) -> tuple[np.ndarray, np.ndarray]:
    """Which of the training and the validation examples of two sets are used."""
    for_train, for_validation = counts(examples)
    return chosen(train, for_train), chosen(validation, for_validation)


def split(x: np.ndarray, y: np.ndarray, examples: int, description: str) -> Data:
    """Takes a fifth of the examples that are used for validation."""
    order = chosen(len(x), examples)
    cut = max(1, int(len(order) * VALIDATION_FRACTION))
    val, train = order[:cut], order[cut:]
    return Data(x[train], y[train], x[val], y[val], description)
