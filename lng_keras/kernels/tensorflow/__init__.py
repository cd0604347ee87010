"""Grouped normalization on TensorFlow: with XLA and without, on CPU, GPU and TPU."""

from typing import Any

from lng_keras.kernels.spec import Spec, Tensor, weight_tensor
from lng_keras.kernels.tensorflow import forms
from lng_keras.kernels.tensorflow.operation import grouped_norm


def normalize(x: Tensor, gamma: Any, beta: Any, spec: Spec, kernel: str) -> Tensor:
    """As `reference.normalize`."""
    gamma, beta = weight_tensor(gamma), weight_tensor(beta)
    return grouped_norm(x, gamma, beta, spec, forms.choose(x, spec, kernel))
