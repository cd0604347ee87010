"""Grouped normalization from strided slices, for XLA on CPU and channels last.

XLA sums a last axis of a few channels one number at a time. Here a group's sum
is the sum of the slices `x[:, 0::c], x[:, 1::c], ...`, each as long as a row, so
that every instruction works on whole vectors; and each statistic is spread back
over its group inside the loop that uses it. Groups of more than `WIDEST` channels
are summed in levels of four slices.

Rows `(n, s, c)` with `s > 1` share statistics over `s` (the joint form).
"""

from collections.abc import Callable
from typing import Any

from keras import ops

from lng_keras.kernels.spec import Spec, Tensor, statistics_dtype

# One level reads a row once per slice: past eight slices two levels are faster.
WIDEST = 8
# More slices than this in a level is slower than the plain form.
MOST = 16


def levels(size: int) -> list[int] | None:
    """The factors of `size` by which to sum, first to last, or None if none do."""
    factors = []
    while size > WIDEST:
        factor = next((f for f in (4, 8, 6, 7, 5, 3, 2) if size % f == 0), size)
        factors.append(factor)
        size //= factor
    if size > 1 or not factors:
        factors.append(size)
    return factors if max(factors) <= MOST else None


def forward(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    spec: Spec,
    wall: Callable[..., Any],
) -> tuple[Tensor, Tensor, Tensor]:
    """As `reference.forward`, for rows `(n, s, c)`.

    Args:
        wall: function `(fn, *tensors)` that returns `fn(*tensors)` and keeps the
            compiler from computing it again inside whatever uses it.
    """
    size = x.shape[-1] // spec.groups
    wide = ops.cast(x, statistics_dtype(x))
    pivot = mean = None
    centers = []
    if spec.subtract_mean:
        pivot = wide[:, :1, ::size]
        mean = _pooled_mean(_less, [wide], [pivot], size, wall)
        centers = [pivot, mean]
    inverse = _pooled_mean(
        lambda *terms: ops.square(_less(*terms)),
        [wide],
        centers,
        size,
        wall,
        lambda variance: ops.rsqrt(variance + spec.epsilon),
    )
    y = _less(wide, *(_spread(t, size) for t in centers)) * _spread(inverse, size)
    if gamma is not None:
        y = y * ops.cast(gamma, y.dtype)
    if beta is not None:
        y = y + ops.cast(beta, y.dtype)
    return ops.cast(y, x.dtype), mean, inverse


def backward(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    mean: Tensor,
    inverse: Tensor,
    dy: Tensor,
    spec: Spec,
    wall: Callable[..., Any],
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """As `reference.backward`, for rows `(n, s, c)`."""
    size = x.shape[-1] // spec.groups
    wide = ops.cast(x, statistics_dtype(x))
    dy = ops.cast(dy, wide.dtype)
    t = dy if gamma is None else dy * ops.cast(gamma, dy.dtype)
    centers = [] if mean is None else [wide[:, :1, ::size], mean]

    def standardize(x, inverse, *centers):
        centers = [_spread(t, size) for t in centers]
        return _less(x, *centers) * _spread(inverse, size)

    # Kept behind a wall: three results need z, and each would compute it again.
    z = wall(standardize, wide, inverse, *centers)
    along_z = _pooled_mean(lambda t, z: t * z, [t, z], [], size, wall)
    dx = t - z * _spread(along_z, size)
    if spec.subtract_mean:
        dx = dx - _spread(_pooled_mean(lambda t: t, [t], [], size, wall), size)
    dx = ops.cast(dx * _spread(inverse, size), x.dtype)

    def over_rows(gradient, weight):
        if weight is None:
            return None
        return ops.cast(ops.sum(gradient, axis=(0, 1)), weight.dtype)

    return dx, over_rows(dy * z, gamma), over_rows(dy, beta)


def _less(x, *centers):
    for center in centers:
        x = x - center
    return x


def _spread(per_group, size):
    """Repeats each group's number for its channels: `(n, 1, g)` -> `(n, 1, c)`."""
    n, one, groups = per_group.shape
    spread = ops.broadcast_to(per_group[..., None], (n, one, groups, size))
    return ops.reshape(spread, (n, one, groups * size))


def _pooled_mean(term, rows, per_group, size, wall, finish=lambda mean: mean):
    """finish(mean over each group of `term(*rows, *per_group)`), `(n, 1, g)`."""
    space = rows[0].shape[1]

    def sum_slices(tensors, factor, fn=lambda t: t):
        slices = [[t[..., k::factor] for t in tensors] for k in range(factor)]
        return sum(fn(*terms) for terms in slices)

    if space > 1:
        spread = [_spread(t, size) for t in per_group]
        total = wall(
            lambda rows, spread: ops.sum(term(*rows, *spread), axis=1, keepdims=True),
            rows,
            spread,
        )
        rows, per_group, term = [total], [], lambda t: t
    first, *rest = levels(size)

    def first_level(rows, per_group):
        spread = [_spread(t, size // first) for t in per_group]
        return sum_slices(rows, first, lambda *slices: term(*slices, *spread))

    def last(total):
        return finish(total / (size * space))

    if not rest:
        return wall(lambda *args: last(first_level(*args)), rows, per_group)
    total = wall(first_level, rows, per_group)
    for factor in rest[:-1]:
        total = wall(lambda t, factor=factor: sum_slices([t], factor), total)
    return wall(lambda t: last(sum_slices([t], rest[-1])), total)
