"""Grouped normalization in `keras.ops`: correct on every backend, for any axes.

Every other kernel is tested against this one, and it is the last resort where
no faster form applies. The derivatives of `normalize`, of every order, forward
and reverse, come from the backend; `forward` and `backward` are the same formula
with its first derivative written out, for kernels that keep only `x` and one
mean and one scale per group between the two.

All kernels share one contract, `normalize(x, gamma, beta, spec)`: `x` is a
floating tensor, `gamma` and `beta` are `(c,)` or None, and the result has the
shape and dtype of `x`, with statistics in float32 or wider.
"""

from keras import ops

from lng_keras.kernels.spec import Spec, Tensor, split, statistics_dtype


def normalize(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> Tensor:
    """Normalizes the groups of `x`; `spec` says what a group is."""
    return forward(x, gamma, beta, spec)[0]


def forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the normalized `x`, and each group's mean and inverse deviation.

    Subtracts one element of the group, the pivot, before the mean: the mean of
    large numbers is rounded to their spacing, and a group with a small spread
    would lose every digit with it. `x - pivot` is exact for numbers within a
    factor of two of each other (Sterbenz), so what follows works on small,
    precise ones. The mean returned is the one of `x - pivot`; None in the RMS
    form.
    """
    view = split(x, spec)
    u, mean = _centered(x, view, spec), None
    if spec.subtract_mean:
        mean = ops.mean(u, axis=view.axes, keepdims=True)
        u = u - mean
    variance = ops.mean(ops.square(u), axis=view.axes, keepdims=True)
    inverse = ops.rsqrt(variance + spec.epsilon)
    y = u * inverse
    if gamma is not None:
        y = y * _per_channel(gamma, y, view)
    if beta is not None:
        y = y + _per_channel(beta, y, view)
    return ops.cast(ops.reshape(y, view.original), x.dtype), mean, inverse


def backward(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor,
    inverse: Tensor,
    dy: Tensor,
    spec: Spec,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """Returns the gradients of `x`, `gamma` and `beta` (None where they are None).

    With z the normalized `x` and t = dy * gamma, per group:
    dx = (t - mean(t) - z * mean(t * z)) * inverse.
    """
    view = split(x, spec)
    u = _centered(x, view, spec)
    z = (u if mean is None else u - mean) * inverse
    dy = ops.reshape(ops.cast(dy, z.dtype), view.shape)
    t = dy if gamma is None else dy * _per_channel(gamma, dy, view)
    dx = t - z * ops.mean(t * z, axis=view.axes, keepdims=True)
    if spec.subtract_mean:
        dx = dx - ops.mean(t, axis=view.axes, keepdims=True)
    dx = ops.cast(ops.reshape(dx * inverse, view.original), x.dtype)

    def over_channels(gradient, weight):
        if weight is None:
            return None
        axes = [i for i in range(len(view.shape)) if i not in view.channels]
        gradient = ops.sum(gradient, axis=axes)
        return ops.cast(ops.reshape(gradient, weight.shape), weight.dtype)

    return dx, over_channels(dy * z, gamma), over_channels(dy, beta)


def _centered(x, view, spec):
    """The view of `x`, wide enough for statistics, less the pivot of each group."""
    z = ops.reshape(ops.cast(x, statistics_dtype(x)), view.shape)
    if not spec.subtract_mean:
        return z
    # No result depends on the choice of the pivot, so no gradient goes through it.
    return z - ops.stop_gradient(z[view.first])


def _per_channel(weight, like, view):
    return ops.reshape(ops.cast(weight, like.dtype), view.per_channel)
