"""Grouped normalization for a TPU where XLA cuts the arrays: sums by products.

A Pallas kernel cannot be cut by XLA, and XLA's own sums over a last axis of a few
channels move up to 79 times the least bytes. A product with a block-diagonal matrix of
ones gives each channel its group's sum at once, and XLA cuts products as it likes.
"""

import jax.numpy as jnp
from jax import lax

from lng_keras.kernels import fused
from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor

LANES = 128


def forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> tuple[Tensor, Kept]:
    """As `contract.Form.forward`, for rows `(n, 1, c)`; keeps nothing."""
    y, _ = _standardized(x, spec)
    if gamma is not None:
        y = y * gamma.astype(y.dtype)
    if beta is not None:
        y = y + beta.astype(y.dtype)
    return y.astype(x.dtype), ()


push = fused.push


def pull(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted = ALL,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """As `contract.Form.pull`, for rows `(n, 1, c)`."""
    z, inverse = _standardized(x, spec)
    dy = dy.astype(z.dtype)
    dx = None
    if wanted[0]:
        t = dy if gamma is None else dy * gamma.astype(dy.dtype)
        dx = t - z * _group_mean(t * z, spec)
        if spec.subtract_mean:
            dx = dx - _group_mean(t, spec)
        dx = (dx * inverse).astype(x.dtype)
    dgamma = jnp.sum(dy * z, axis=(0, 1)) if wanted[1] else None
    return dx, dgamma, jnp.sum(dy, axis=(0, 1)) if wanted[2] else None


def _standardized(x, spec):
    z = x.astype(jnp.float32)
    if spec.subtract_mean:
        z = z - _group_mean(z, spec)
        if x.dtype == jnp.float32:
            # The mean of large numbers is rounded; of what it leaves, hardly. Numbers
            # of half precision are too coarse for a float32 mean to matter.
            z = z - _group_mean(z, spec)
    inverse = lax.rsqrt(_group_mean(z * z, spec) + spec.epsilon)
    return z * inverse, inverse


def _group_mean(x, spec):
    """Each group's mean at every one of its channels."""
    channels = x.shape[-1]
    size = channels // spec.groups
    group = jnp.arange(channels) // size
    same = (group[:, None] == group).astype(x.dtype)
    return jnp.dot(x, same, precision=lax.Precision.HIGHEST) * (1.0 / size)
