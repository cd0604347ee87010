"""Made-up inputs of a model."""

from typing import Any

import keras
import numpy as np


def example_of(model: keras.Model) -> Any:
    """One made-up example, batch axis of 1, in the structure a model takes."""
    try:
        tensors = model.input
    except (AttributeError, ValueError):
        shape = (model.get_build_config() or {}).get("input_shape")
        if not isinstance(shape, (list, tuple)) or None in tuple(shape)[1:]:
            raise ValueError(
                f"The input shape of {type(model).__name__} {model.name!r} is not "
                "known. Give `inputs`, one example with a batch axis of 1."
            ) from None
        tensors = keras.KerasTensor(tuple(shape))
    rng = np.random.default_rng(0)

    def one(tensor):
        shape = (1, *tensor.shape[1:])
        if None in shape:
            raise ValueError(
                f"The model's input has unknown sizes, {tuple(tensor.shape)}. Give "
                "`inputs`, one example with a batch axis of 1."
            )
        if not tensor.dtype.startswith(("float", "bfloat")):
            return np.ones(shape, tensor.dtype)
        return rng.uniform(size=shape).astype(tensor.dtype)

    return keras.tree.map_structure(one, tensors)


def repeated(example: Any, batch: int) -> Any:
    """`example`, `batch` times along its first axis."""
    return keras.tree.map_structure(
        lambda x: np.repeat(np.asarray(x), batch, axis=0), example
    )
