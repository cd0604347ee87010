"""The model in float32, whatever it was trained in."""

import keras
import numpy as np

from lng_keras._base.private.layers import flat
from lng_keras.swap.api import copy_model

# Half precision -> the largest difference that is accepted, as formats.TOLERANCES: ten
# times the type's epsilon, since the errors of a sum's terms cancel.
TOLERANCES = {"float16": 1e-2, "bfloat16": 8e-2}


def half_of(model: keras.Model) -> str | None:
    """The type of half precision that a model computes in somewhere, or None."""
    kinds = {layer.compute_dtype for layer in flat(model)}
    return next((kind for kind in TOLERANCES if kind in kinds), None)


def in_float32(model: keras.Model) -> keras.Model:
    """A copy of a model with the same weights that computes in float32."""
    copy = copy_model(model)
    for layer in flat(copy):
        if layer.compute_dtype in TOLERANCES:
            layer.dtype_policy = "float32"
    return copy


def as_numpy(tensor: object) -> np.ndarray:
    """A tensor of any type as an array of float32 or wider."""
    array = keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32"))
    return np.asarray(array)
