"""What the user's `module:function` returns."""

import inspect

import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras.adopt import models
from lng_keras.adopt.inputs import choice, fitting
from lng_keras.adopt.inputs.data import Data


def read(
    name: str, shape: tuple[int, ...], examples: int, data_dir: str | None
) -> Data:
    function = models.function(name)
    takes = inspect.signature(function).parameters
    given = function(**({"data_dir": data_dir} if "data_dir" in takes else {}))
    if not isinstance(given, (tuple, list)) or len(given) != 4:
        raise UsageError(f"{name} must return four arrays, x, y, x_val and y_val.")
    x, y, x_val, y_val = given
    for inputs, labels in ((x, y), (x_val, y_val)):
        if len(inputs) != len(labels):
            raise UsageError(f"{name}: {len(inputs)} inputs and {len(labels)} labels.")
    train, held = choice.parts(len(y), len(y_val), examples)
    description = f"{name.partition(':')[2]}, inputs of {x.shape[1:]}"
    if len(x.shape) == 4:
        description = f"{name.partition(':')[2]}, images of {x.shape[1:3]}"
    return Data(
        fitting.fitted(list(x[train]), shape),
        np.asarray(y)[train],
        fitting.fitted(list(x_val[held]), shape),
        np.asarray(y_val)[held],
        description,
    )
