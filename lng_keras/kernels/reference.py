"""Grouped normalization in `keras.ops`: correct on every backend, for any axes.

Every other kernel is tested against this one, and it is the last resort where
no faster form applies. Its derivatives of every order, forward and reverse,
come from the backend.
"""

from keras import ops


def normalize(z, gamma, beta, axes, group_axis, epsilon, subtract_mean=True):
    """Normalizes `z` over `axes`, then applies `gamma` and `beta` if given.

    Subtracts one element of the group before the mean: the mean of large
    numbers is rounded to their spacing, and a group with a small spread would
    lose every digit with it. `x - x[0]` is exact for neighbours within a factor
    of two (Sterbenz), so what follows works on small, precise numbers.

    Args:
        z: float32 or float64 tensor whose channel axis is split in two,
            `(..., groups, channels_per_group, ...)`.
        gamma, beta: tensors that broadcast against `z`, or None.
        axes: the axes of `z` that share statistics.
        group_axis: the axis of `z` that counts the groups.
        epsilon: float, added to the variance.
        subtract_mean: bool; False divides by the root mean square instead.
    """
    if subtract_mean:
        z = z - _first(z, axes, group_axis)
        z = z - ops.mean(z, axis=axes, keepdims=True)
    variance = ops.mean(ops.square(z), axis=axes, keepdims=True)
    z = z * ops.rsqrt(variance + epsilon)
    if gamma is not None:
        z = z * gamma
    if beta is not None:
        z = z + beta
    return z


def _first(z, axes, group_axis):
    index = tuple(slice(0, 1) if i in axes else slice(None) for i in range(z.ndim))
    # The result does not depend on the pivot, so neither does its gradient.
    return ops.stop_gradient(z[index])
