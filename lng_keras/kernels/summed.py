"""Statistics over space, in sums over positions first and over a group's channels then.

Without a compiler that joins operations each one is a pass over memory, and those on
`(n, s, groups, size)` are slow passes: their last axis is short. Here all large
operations have the channels whole, as the last axis; what is per group is small.
"""

import math

from keras import ops

from lng_keras.kernels import fused
from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor, statistics_dtype


def supports(x: Tensor, spec: Spec) -> bool:
    """Whether statistics cover all of space, and the channels are last."""
    *space, channel = range(1, len(x.shape))
    return (
        bool(space)
        and spec.channel_axis == channel
        and sorted(spec.axes[:-1]) == space
        and all(isinstance(size, int) for size in x.shape[1:])
    )


def forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> tuple[Tensor, Kept]:
    """As `contract.Form.forward`; what is kept is `(n, 1, c)`."""
    rows, groups = rows_of(x, spec), spec.groups
    u, mean = _pivoted(rows, spec), None
    if spec.subtract_mean:
        mean = over_groups(over_space(u), groups)
        u = u - mean
    variance = over_groups(over_space(u * u), groups)
    inverse = ops.rsqrt(variance + spec.epsilon)
    y = u * (inverse if gamma is None else inverse * ops.cast(gamma, u.dtype))
    if beta is not None:
        y = y + ops.cast(beta, u.dtype)
    return ops.cast(ops.reshape(y, (-1, *x.shape[1:])), x.dtype), (mean, inverse)


push = fused.push


def pull(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted = ALL,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """As `contract.Form.pull`.

    With u = z / inverse, the sums over space of dy and dy * u give all the rest:
    dx = dy * gamma * inverse - mean(t) * inverse - u * mean(t * u) * inverse^3.
    """
    rows, groups = rows_of(x, spec), spec.groups
    mean, inverse = kept
    u = _pivoted(rows, spec)
    if mean is not None:
        u = u - mean
    dy = rows_of(dy, spec)
    along = over_space(dy * u)
    level = over_space(dy)
    dx = None
    if wanted[0]:
        weight = inverse if gamma is None else inverse * ops.cast(gamma, u.dtype)
        slope = over_groups(along * weight, groups) * inverse * inverse
        dx = dy * weight - u * slope
        if mean is not None:
            dx = dx - over_groups(level * weight, groups)
        dx = ops.cast(ops.reshape(dx, (-1, *x.shape[1:])), x.dtype)
    positions = rows.shape[1]
    dgamma, dbeta = (
        ops.sum(sums, axis=(0, 1)) * positions if w else None
        for sums, w in ((along * inverse, wanted[1]), (level, wanted[2]))
    )
    return dx, dgamma, dbeta


def rows_of(x: Tensor, spec: Spec) -> Tensor:
    """`(n, s, c)`, wide enough for statistics."""
    rows = ops.reshape(x, (-1, math.prod(x.shape[1:-1]), x.shape[-1]))
    return ops.cast(rows, statistics_dtype(x))


def _pivoted(rows, spec):
    """Less one element of each group, as `reference.forward` says."""
    if not spec.subtract_mean:
        return rows
    first = rows[:, :1, :: rows.shape[-1] // spec.groups]
    return rows - spread(first, rows.shape[-1])


def over_space(values: Tensor) -> Tensor:
    """The mean of `(n, s, c)` over `s`, `(n, 1, c)`: of blocks first, then of those.

    TensorFlow adds up an axis that is not the last one number after another. Numbers on
    a coarse grid, as large ones are, then round the same way again and again.
    """
    positions, channels = values.shape[1:]
    block = next(b for b in range(math.isqrt(positions), 0, -1) if not positions % b)
    blocks = ops.reshape(values, (-1, positions // block, block, channels))
    return ops.mean(ops.mean(blocks, axis=2), axis=1, keepdims=True)


def over_groups(values: Tensor, groups: int) -> Tensor:
    """The mean of each group of `(n, 1, c)`, at each of its channels."""
    channels = values.shape[-1]
    by_group = ops.reshape(values, (-1, 1, groups, channels // groups))
    return spread(ops.mean(by_group, axis=-1), channels)


def spread(values: Tensor, channels: int) -> Tensor:
    """`(n, 1, groups)` -> `(n, 1, c)`."""
    return ops.repeat(values, channels // values.shape[-1], axis=2)
