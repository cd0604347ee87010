"""Grouped normalization and its gradients in float64 NumPy, written by the definition.

Independent of the package: groups are cut out one by one, no reshape is shared.
"""

import numpy as np


def _groups(shape, groups, axes):
    """Yields an index tuple for the channels of each group."""
    channel_axis = axes[-1]
    size = shape[channel_axis] // groups
    for k in range(groups):
        index = [slice(None)] * len(shape)
        index[channel_axis] = slice(k * size, (k + 1) * size)
        yield tuple(index)


def _per_channel(weight, rank, channel_axis):
    shape = [1] * rank
    shape[channel_axis] = -1
    return np.asarray(weight, "float64").reshape(shape)


def normalize(x, gamma, beta, groups, axes, epsilon=1e-5, subtract_mean=True):
    """The normalized `x`. `axes`: non-negative, the channel axis last."""
    x = np.asarray(x, "float64")
    y = np.empty_like(x)
    for index in _groups(x.shape, groups, axes):
        z = x[index]
        if subtract_mean:
            z = z - z.mean(axis=tuple(axes), keepdims=True)
        y[index] = z / np.sqrt((z**2).mean(axis=tuple(axes), keepdims=True) + epsilon)
    if gamma is not None:
        y = y * _per_channel(gamma, x.ndim, axes[-1])
    if beta is not None:
        y = y + _per_channel(beta, x.ndim, axes[-1])
    return y


def gradients(x, gamma, dy, groups, axes, epsilon=1e-5):
    """The gradients of sum(y * dy) in x, gamma and beta, by the chain rule."""
    x, dy = np.asarray(x, "float64"), np.asarray(dy, "float64")
    axes = tuple(axes)
    upstream = dy * _per_channel(gamma, x.ndim, axes[-1])
    dx, z = np.empty_like(x), np.empty_like(x)
    for index in _groups(x.shape, groups, axes):
        u = x[index] - x[index].mean(axis=axes, keepdims=True)
        n = np.prod([u.shape[a] for a in axes])
        variance = (u**2).mean(axis=axes, keepdims=True)
        d = upstream[index]
        # Through the variance, then through the mean of what is left.
        dvariance = (d * u).sum(axis=axes, keepdims=True) * -0.5
        dvariance *= (variance + epsilon) ** -1.5
        du = d * (variance + epsilon) ** -0.5 + dvariance * 2 * u / n
        dx[index] = du - du.mean(axis=axes, keepdims=True)
        z[index] = u * (variance + epsilon) ** -0.5
    others = tuple(i for i in range(x.ndim) if i != axes[-1])
    return dx, (dy * z).sum(axis=others), dy.sum(axis=others)
