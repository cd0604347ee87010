"""Statistics over space in two passes over memory, for XLA on GPU and TPU.

A group over space does not fit where XLA joins operations into one kernel, so its
least is a pass for the statistics and one that uses them. Mean and variance come out
of the same pass as sums of v = x - pivot and of v^2; the derivatives' as sums of v,
v^2, dy and dy * v. Nothing is kept.

The variance, mean(v^2) - mean(v)^2, is precise if the pivot is near the mean: the
rounding grows by 1 + (distance / deviation)^2. So the pivot is the mean of sqrt(s) of
the s positions, which keeps that below 1 + sqrt(s) for any numbers, and near 1 for
those without a pattern. For large numbers x - pivot is exact, as in `reference`.
"""

import math

from keras import ops

from lng_keras.kernels import fused
from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor
from lng_keras.kernels.summed import over_groups, rows_of, supports

__all__ = ["forward", "pull", "push", "supports"]

push = fused.push


def forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> tuple[Tensor, Kept]:
    """As `contract.Form.forward`, where `supports`; keeps nothing."""
    v, mean, inverse = _statistics(x, spec)
    y = (v - mean) * (inverse if gamma is None else inverse * ops.cast(gamma, v.dtype))
    if beta is not None:
        y = y + ops.cast(beta, v.dtype)
    return ops.cast(ops.reshape(y, (-1, *x.shape[1:])), x.dtype), ()


def pull(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted = ALL,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """As `contract.Form.pull`, where `supports`.

    With z the normalized `x` and t = dy * gamma, per group:
    dx = (t - mean(t) - z * mean(t * z)) / deviation.
    """
    v, mean, inverse = _statistics(x, spec)
    dy = rows_of(dy, spec)
    level = ops.mean(dy, axis=1, keepdims=True)
    # Of dy * z, from the sums that need no statistics first.
    along = (ops.mean(dy * v, axis=1, keepdims=True) - level * mean) * inverse
    dx = None
    if wanted[0]:
        weight = 1.0 if gamma is None else ops.cast(gamma, v.dtype)
        slope = over_groups(along * weight, spec.groups) * inverse
        dx = dy * weight - (v - mean) * slope
        if spec.subtract_mean:
            dx = dx - over_groups(level * weight, spec.groups)
        dx = ops.cast(ops.reshape(dx * inverse, (-1, *x.shape[1:])), x.dtype)
    dgamma, dbeta = (
        ops.sum(sums, axis=(0, 1)) * v.shape[1] if w else None
        for sums, w in ((along, wanted[1]), (level, wanted[2]))
    )
    return dx, dgamma, dbeta


def _statistics(x, spec):
    """`(n, s, c)` less the pivot, and each group's mean of it and inverse deviation."""
    v = rows_of(x, spec)
    if spec.subtract_mean:
        # One step more than sqrt(s): of a square map, a diagonal and not an edge.
        sample = v[:, :: math.isqrt(v.shape[1]) + 1]
        v = v - over_groups(ops.mean(sample, axis=1, keepdims=True), spec.groups)
    square = over_groups(ops.mean(v * v, axis=1, keepdims=True), spec.groups)
    if not spec.subtract_mean:
        return v, 0.0, ops.rsqrt(square + spec.epsilon)
    mean = over_groups(ops.mean(v, axis=1, keepdims=True), spec.groups)
    # Not below 0 by rounding.
    variance = ops.maximum(square - mean * mean, 0.0)
    return v, mean, ops.rsqrt(variance + spec.epsilon)
