"""Grouped normalization from strided slices, for XLA on CPU and channels last.

XLA sums a last axis of a few channels one number at a time. Here a group's sum
is the sum of the slices `x[:, 0::c], x[:, 1::c], ...`, each as long as a row, so
that every instruction works on whole vectors; and each statistic is spread back
over its group inside the loop that uses it. Groups of more than `WIDEST` channels
are summed in levels of four slices.

Rows `(n, s, c)` with `s > 1` share statistics over `s` (the joint form).
"""

import jax
import jax.numpy as jnp
from jax import lax

from lng_keras.kernels.contract import ALL, Kept, Wanted
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
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> tuple[Tensor, Kept]:
    """As `contract.Form.forward`, for rows `(n, s, c)`."""
    size = x.shape[-1] // spec.groups
    wide = x.astype(statistics_dtype(x))
    mean = None
    centers = []
    if spec.subtract_mean:
        pivot = wide[:, :1, ::size]
        mean = _pooled_mean(_less, [wide], [pivot], size)
        centers = [pivot, mean]
    inverse = _pooled_mean(
        lambda *terms: jnp.square(_less(*terms)),
        [wide],
        centers,
        size,
        lambda variance: lax.rsqrt(variance + spec.epsilon),
    )
    y = _less(wide, *(_spread(t, size) for t in centers)) * _spread(inverse, size)
    if gamma is not None:
        y = y * gamma.astype(y.dtype)
    if beta is not None:
        y = y + beta.astype(y.dtype)
    return y.astype(x.dtype), (mean, inverse)


def push(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dx: Tensor | None,
    dgamma: Tensor | None,
    dbeta: Tensor | None,
    spec: Spec,
) -> Tensor:
    """As `contract.Form.push`, for rows `(n, s, c)`."""
    z, inverse, size = _standardized(x, kept, spec)
    dy = jnp.zeros_like(z)
    if dx is not None:
        dy = _across(dx.astype(z.dtype), z, size, spec) * inverse
        dy = dy if gamma is None else dy * gamma.astype(z.dtype)
    if dgamma is not None:
        dy = dy + z * dgamma.astype(z.dtype)
    if dbeta is not None:
        dy = dy + dbeta.astype(z.dtype)
    return dy.astype(x.dtype)


def pull(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted = ALL,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """As `contract.Form.pull`, for rows `(n, s, c)`."""
    z, inverse, size = _standardized(x, kept, spec)
    dy = dy.astype(z.dtype)
    dx = None
    if wanted[0]:
        t = dy if gamma is None else dy * gamma.astype(dy.dtype)
        dx = (_across(t, z, size, spec) * inverse).astype(x.dtype)
    dgamma = jnp.sum(dy * z, axis=(0, 1)) if wanted[1] else None
    return dx, dgamma, jnp.sum(dy, axis=(0, 1)) if wanted[2] else None


def _standardized(x, kept, spec):
    """z, the inverse deviation at every channel, and the group size."""
    size = x.shape[-1] // spec.groups
    wide = x.astype(statistics_dtype(x))
    mean, inverse = kept
    centers = [] if mean is None else [wide[:, :1, ::size], mean]

    def standardize(x, inverse, *centers):
        centers = [_spread(t, size) for t in centers]
        return _less(x, *centers) * _spread(inverse, size)

    # Kept behind a wall: three results need z, and each would compute it again.
    return _wall(standardize, wide, inverse, *centers), _spread(inverse, size), size


def _across(t, z, size, spec):
    """What is left of `t` across the mean and across `z`, in each group."""
    along_z = _pooled_mean(lambda t, z: t * z, [t, z], [], size)
    across = t - z * _spread(along_z, size)
    if not spec.subtract_mean:
        return across
    return across - _spread(_pooled_mean(lambda t: t, [t], [], size), size)


def _wall(fn, *tensors):
    """`fn(*tensors)`, computed once: XLA does not fuse across a conditional.

    Without it, XLA computes a group's sum again for every channel that uses it.
    The barrier keeps XLA from seeing that the condition is a constant.
    """
    result = jax.eval_shape(fn, *tensors)
    return lax.cond(
        lax.optimization_barrier(jnp.bool_(True)),
        fn,
        lambda *_: jnp.zeros(result.shape, result.dtype),
        *tensors,
    )


def _less(x, *centers):
    for center in centers:
        x = x - center
    return x


def _spread(per_group, size):
    """Repeats each group's number for its channels: `(n, 1, g)` -> `(n, 1, c)`."""
    n, one, groups = per_group.shape
    spread = jnp.broadcast_to(per_group[..., None], (n, one, groups, size))
    return spread.reshape(n, one, groups * size)


def _pooled_mean(term, rows, per_group, size, finish=lambda mean: mean):
    """finish(mean over each group of `term(*rows, *per_group)`), `(n, 1, g)`."""
    space = rows[0].shape[1]

    def sum_slices(tensors, factor, fn=lambda t: t):
        slices = [[t[..., k::factor] for t in tensors] for k in range(factor)]
        return sum(fn(*terms) for terms in slices)

    if space > 1:
        spread = [_spread(t, size) for t in per_group]
        total = _wall(
            lambda rows, spread: jnp.sum(term(*rows, *spread), axis=1, keepdims=True),
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
        return _wall(lambda *args: last(first_level(*args)), rows, per_group)
    total = _wall(first_level, rows, per_group)
    for factor in rest[:-1]:
        total = _wall(lambda t, factor=factor: sum_slices([t], factor), total)
    return _wall(lambda t: last(sum_slices([t], rest[-1])), total)
