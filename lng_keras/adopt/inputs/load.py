"""Turns what the user names into images with labels."""

import os
import re

import keras

from lng_keras._base.errors import UsageError
from lng_keras.adopt import defaults, early, models
from lng_keras.adopt.inputs import folder, function, npz, tfds
from lng_keras.adopt.inputs.data import Data, check


def load_data(
    name: str,
    model: keras.Model,
    examples: int = defaults.EXAMPLES,
    data_dir: str | None = None,
) -> Data:
    """Loads images and labels from a folder, a file, a function or a known data set.

    A folder holds one folder of images a class, or `train/` and `validation/` with
    those, no class in `validation/` alone. An `.npz` file holds `x` and `y`, and
    `x_val` and `y_val` or else a fifth of the examples is taken for validation.
    Anything else is a name of tensorflow-datasets that is prepared already.

    `module:function` is a function that returns `(x, y, x_val, y_val)`; if it takes an
    argument `data_dir`, it gets that. Its labels are integers `(n,)`. Its inputs have a
    length and a shape, and give an array for an array of ints: arrays, or images that
    are decoded when they are asked for, as only those are that are used.

    Images, bytes `(height, width, channels)`, are scaled to the size the model takes;
    arrays of an `.npz` file are not.

    Args:
        examples: int, at most so many, training and validation together.

    Raises:
        UsageError: with what to do about it.
    """
    early.check_data(name)
    shape, classes = models.model_spec(model)
    if os.path.isdir(name):
        data = folder.read(name, shape, examples)
    elif name.endswith(".npz"):
        data = npz.read(name, examples)
    elif os.path.sep in name or os.path.exists(name):
        raise UsageError(f"No such data folder or .npz file: {name}")
    elif re.fullmatch(r"(?!tfds:)[\w.]+:[^\W\d]\w*", name):  # mnist:3.0.1 is of tfds
        data = function.read(name, shape, examples, data_dir)
    else:
        data = tfds.read(name.removeprefix("tfds:"), shape, examples, data_dir)
    return check(data, model, shape, classes)
