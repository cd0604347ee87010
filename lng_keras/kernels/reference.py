"""Grouped normalization in `keras.ops`: correct on every backend, for any axes.

Every other form is tested against this one, and it is the last resort where no faster
form applies. The derivatives of `normalize`, of every order, forward and reverse, come
from the backend; `push` and `pull` are the same formula with its first derivatives
written out.
"""

import functools
from collections.abc import Callable

from keras import ops

from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor, View, split, statistics_dtype

Pivot = Callable[[Tensor, View], Tensor]


def normalize(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> Tensor:
    """Normalizes the groups of `x`; `spec` says what a group is."""
    return forward(x, gamma, beta, spec)[0]


def first(z: Tensor, view: View) -> Tensor:
    """The first element of each group."""
    return z[view.first]


def forward(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    spec: Spec,
    pivot: Pivot = first,
) -> tuple[Tensor, Kept]:
    """As `contract.Form.forward`.

    Subtracts one element of the group, the pivot, before the mean: the mean of
    large numbers is rounded to their spacing, and a group with a small spread
    would lose every digit with it. `x - pivot` is exact for numbers within a
    factor of two of each other (Sterbenz), so what follows works on small,
    precise ones.
    """
    view = split(x, spec)
    u, mean, inverse = _statistics(x, view, spec, pivot)
    y = u * inverse
    if gamma is not None:
        y = y * _per_channel(gamma, y, view)
    if beta is not None:
        y = y + _per_channel(beta, y, view)
    return ops.cast(ops.reshape(y, view.original), x.dtype), (mean, inverse)


def push(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dx: Tensor | None,
    dgamma: Tensor | None,
    dbeta: Tensor | None,
    spec: Spec,
    pivot: Pivot = first,
) -> Tensor:
    """As `contract.Form.push`.

    With z the normalized `x`, per group:
    dy = (dx - mean(dx) - z * mean(dx * z)) / deviation * gamma + z * dgamma + dbeta.
    """
    view = split(x, spec)
    z, inverse = _standardized(x, kept, view, spec, pivot)
    dy = ops.zeros_like(z)
    if dx is not None:
        d = ops.reshape(ops.cast(dx, z.dtype), view.shape)
        dy = _across(d, z, view, spec) * inverse
        if gamma is not None:
            dy = dy * _per_channel(gamma, z, view)
    if dgamma is not None:
        dy = dy + z * _per_channel(dgamma, z, view)
    if dbeta is not None:
        dy = dy + _per_channel(dbeta, z, view)
    return ops.cast(ops.reshape(dy, view.original), x.dtype)


def pull(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted = ALL,
    pivot: Pivot = first,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """As `contract.Form.pull`.

    With z the normalized `x` and t = dy * gamma, per group:
    dx = (t - mean(t) - z * mean(t * z)) / deviation.
    """
    view = split(x, spec)
    z, inverse = _standardized(x, kept, view, spec, pivot)
    dy = ops.reshape(ops.cast(dy, z.dtype), view.shape)
    dx = None
    if wanted[0]:
        t = dy if gamma is None else dy * _per_channel(gamma, dy, view)
        dx = _across(t, z, view, spec) * inverse
        dx = ops.cast(ops.reshape(dx, view.original), x.dtype)

    dgamma = _over_channels(dy * z, view) if wanted[1] else None
    return dx, dgamma, _over_channels(dy, view) if wanted[2] else None


def second(
    x: Tensor,
    gamma: Tensor | None,
    dx: Tensor,
    dgamma: Tensor | None,
    dy: Tensor,
    spec: Spec,
) -> tuple[Tensor, Tensor | None]:
    """The gradients of sum(dy * push(x, gamma, ..., dx, dgamma, ...)) to x and gamma.

    It is also sum(dx * pull(...)): one function gives the second derivatives of both
    modes, where a backend does not take them itself. With t = dy * gamma and
    across(d) = d - mean(d) - z * mean(d * z), to x it is, per group,
    across(dy * dgamma - (t * mean(dx * z) + dx * mean(t * z)) / deviation) / deviation
    - z * mean(t * across(dx)) / deviation^2.
    """
    view = split(x, spec)
    over_group = functools.partial(_over_group, view=view)
    z, inverse = _standardized(x, (), view, spec, first)
    dx, dy = (ops.reshape(ops.cast(d, z.dtype), view.shape) for d in (dx, dy))
    t = dy if gamma is None else dy * _per_channel(gamma, z, view)
    across = _across(dx, z, view, spec)
    to_z = -inverse * (t * over_group(dx * z) + dx * over_group(t * z))
    if dgamma is not None:
        to_z = to_z + dy * _per_channel(dgamma, z, view)
    to_x = _across(to_z, z, view, spec) * inverse
    to_x = to_x - z * inverse * inverse * over_group(t * across)
    to_x = ops.cast(ops.reshape(to_x, view.original), x.dtype)
    if gamma is None:
        return to_x, None
    return to_x, _over_channels(dy * across * inverse, view)


def _statistics(x, view, spec, pivot):
    """The centered view of `x`, its means less the pivots, and inverse deviations."""
    u, mean = _pivoted(x, view, spec, pivot), None
    if spec.subtract_mean:
        mean = _over_group(u, view)
        u = u - mean
    variance = _over_group(ops.square(u), view)
    return u, mean, ops.rsqrt(variance + spec.epsilon)


def _standardized(x, kept, view, spec, pivot):
    """The normalized view of `x` and each group's inverse deviation."""
    if not kept:
        u, _, inverse = _statistics(x, view, spec, pivot)
        return u * inverse, inverse
    mean, inverse = kept
    u = _pivoted(x, view, spec, pivot)
    return (u if mean is None else u - mean) * inverse, inverse


def _pivoted(x, view, spec, pivot):
    """The view of `x`, wide enough for statistics, less the pivot of each group."""
    z = ops.reshape(ops.cast(x, statistics_dtype(x)), view.shape)
    if not spec.subtract_mean:
        return z
    # No result depends on the choice of the pivot, so no gradient goes through it.
    return z - ops.stop_gradient(pivot(z, view))


def _across(t, z, view, spec):
    """What is left of `t` across the mean and across `z`, in each group."""
    over_group = functools.partial(_over_group, view=view)
    across = t - z * over_group(t * z)
    return across - over_group(t) if spec.subtract_mean else across


def _over_group(values, view):
    """The mean of each group, one axis after the other.

    In one go XLA adds up a group one number at a time on a CPU: 2e-4 of a deviation
    are lost over 65,536 of them. Means of means round as little as sums in a tree.
    """
    for axis in reversed(view.axes):
        values = ops.mean(values, axis=axis, keepdims=True)
    return values


def _over_channels(gradient, view):
    """The sum at each channel, `(c,)`."""
    axes = [i for i in range(len(view.shape)) if i not in view.channels]
    return ops.reshape(ops.sum(gradient, axis=axes), (-1,))


def _per_channel(weight, like, view):
    return ops.reshape(ops.cast(weight, like.dtype), view.per_channel)
