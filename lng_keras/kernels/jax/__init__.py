"""Grouped normalization on JAX: on CPU, GPU and TPU, and where arrays are cut."""

import functools
import math
from typing import Any

import jax.numpy as jnp

from lng_keras.kernels import reference
from lng_keras.kernels.jax.operation import grouped_norm
from lng_keras.kernels.jax.sharding import on_parts, placement
from lng_keras.kernels.spec import Spec, Tensor, statistics_dtype, weight_tensor


def normalize(x: Tensor, gamma: Any, beta: Any, spec: Spec, kernel: str) -> Tensor:
    """As `reference.normalize`; `kernel` as in `forms.choose`."""
    place = placement(x, gamma, spec)
    gamma, beta = weight_tensor(gamma), weight_tensor(beta)
    known = all(isinstance(n, int) for n in x.shape)
    if not known or not math.prod(x.shape):
        return reference.normalize(x, gamma, beta, spec)
    channels, dtype = x.shape[spec.channel_axis], statistics_dtype(x)
    gamma = jnp.ones(channels, dtype) if gamma is None else gamma
    beta = jnp.zeros(channels, dtype) if beta is None else beta
    run = functools.partial(grouped_norm, kernel=kernel)
    if place is not None:
        return on_parts(run, place, spec)(x, gamma, beta)
    return run(x, gamma, beta, spec)
