"""Arrays of an `.npz` file."""

import os
import zipfile

import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras.adopt.inputs import choice
from lng_keras.adopt.inputs.data import Data


def read(path: str, examples: int) -> Data:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"Cannot read {path}: {error}") from error
    if "x" not in arrays or "y" not in arrays:
        raise UsageError(
            f"{path} must hold arrays `x` and `y`. It holds: "
            f"{', '.join(arrays) or 'nothing'}."
        )
    name = os.path.basename(path)
    y = np.squeeze(arrays["y"])
    if len(arrays["x"]) != len(y):
        raise UsageError(f"{path}: {len(arrays['x'])} inputs and {len(y)} labels.")
    if "x_val" not in arrays or "y_val" not in arrays:
        return choice.split(arrays["x"], y, examples, name)
    x_val, y_val = arrays["x_val"], np.squeeze(arrays["y_val"])
    if len(x_val) != len(y_val):
        raise UsageError(f"{path}: {len(x_val)} x_val and {len(y_val)} y_val.")
    train, held = choice.parts(len(y), len(y_val), examples)
    return Data(arrays["x"][train], y[train], x_val[held], y_val[held], name)
