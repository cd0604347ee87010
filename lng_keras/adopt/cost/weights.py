"""The weights of a model: the bytes they take, and a copy with weights of 8 bits."""

import warnings

import keras
import numpy as np

from lng_keras.swap.api import copy_model


def weight_bytes(layer: keras.layers.Layer) -> int:
    """Bytes of a layer's or a model's weights as they are stored."""
    sizes = {"bool": 1, "bfloat16": 2}
    return sum(
        int(np.prod(w.shape)) * (sizes.get(w.dtype) or np.dtype(w.dtype).itemsize)
        for w in layer.weights
    )


def quantized(model: keras.Model) -> keras.Model:
    """An int8 copy of a model: its Dense, EinsumDense and Embedding layers."""
    copy = copy_model(model)
    with warnings.catch_warnings():
        # One warning for each layer that has no int8 form; norms stay as they are.
        warnings.filterwarnings("ignore", message=".*`quantize` method implemented")
        copy.quantize("int8")
    return copy
