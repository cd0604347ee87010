"""The RMS normalizations of language models, known by what they compute.

KerasHub has one class a model family (Llama, Mistral, Qwen, Phi-3, T5, Gemma), all

    x / sqrt(mean(x^2) + epsilon) * gamma

over the last axis, with one weight: gamma itself, or, in Gemma, gamma - 1.
"""

from typing import Any

import keras
import numpy as np
from keras import layers

_OFFSETS = (0.0, 1.0)  # of gamma from the weight


def is_rms(layer: keras.layers.Layer) -> bool:
    """Whether a layer is an RMS normalization with one weight a channel."""
    return isinstance(layer, layers.RMSNormalization) or offset(layer) is not None


def offset(layer: keras.layers.Layer) -> float | None:
    """What is added to the weight of a layer to make gamma.

    Tried on numbers, with the weight as it is: on some of unit size, and on smaller
    ones, which show where epsilon stands.

    Returns:
        0 or 1, or None if the layer is not built or computes something else.
    """
    if isinstance(layer, layers.RMSNormalization):
        return 0.0
    epsilon = getattr(layer, "epsilon", None)
    if hasattr(layer, "gamma"):  # Keras' other normalizations, and the layers here
        return None
    if not (layer.built and len(layer.weights) == 1 and isinstance(epsilon, float)):
        return None
    (weight,) = layer.weights
    if len(weight.shape) != 1:
        return None
    unit = np.random.default_rng(0).normal(size=(4, *weight.shape))
    x = np.concatenate([unit, unit * epsilon**0.5]).astype("float32")
    try:
        y = _array(layer(keras.ops.convert_to_tensor(x)))
    except Exception:  # it takes something else; its author's code may raise anything
        return None
    normalized = x / np.sqrt(np.mean(x**2, -1, keepdims=True) + epsilon)
    for added in _OFFSETS:
        desired = normalized * (_array(weight.value) + added)
        near = _tolerance(layer) * max(1.0, np.abs(desired).max())
        if y.shape == desired.shape and np.abs(y - desired).max() <= near:
            return added
    return None


def _array(value: Any) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(value, "float32")))


def _tolerance(layer):
    """Rounding of the type that a layer computes in, in some operations."""
    return {"bfloat16": 3e-2, "float16": 3e-3}.get(layer.compute_dtype, 1e-5)
