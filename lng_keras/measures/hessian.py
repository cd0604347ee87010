"""H(f; x), the paper's measure of nonlinearity: exact, estimated, in closed form."""

import typing
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from lng_keras.measures.derivatives import SecondDerivative, as_function, compute_dtype


class Estimate(typing.NamedTuple):
    """A Monte Carlo estimate: `value` and its `standard_error`, arrays `(n,)`."""

    value: np.ndarray
    standard_error: np.ndarray


def hessian_nonlinearity(
    fn_or_model: Callable[[Any], Any] | keras.layers.Layer,
    x: Any,
    batch_size: int = 1024,
) -> np.ndarray:
    """H(f; x) = sum_i ||Hessian of f_i at x||_F^2, for each sample of `x`.

    Exact up to rounding, by forward mode along every pair of coordinates: d (d + 1) / 2
    directional second derivatives a sample, so for d up to some hundreds. Zero exactly
    where f is linear around x, which includes piecewise linear functions: a network of
    ReLUs has H = 0 almost everywhere. Its nonlinearity sits in the kinks, where no
    Hessian sees it.

    Args:
        fn_or_model: function of a batch `(b, ...)` to a tensor `(b, ...)` that treats
            each row by itself, or a Keras layer or model, called for inference.
        x: array `(n, ...)`, n points at which to measure. A model is differentiated in
            its own dtype, a function in that of `x`, float32 or float64 (JAX has
            float64 only with `jax_enable_x64`).
        batch_size: int >= 1, rows evaluated at once. A row is a point and two
            directions; memory grows with it, the result does not change.
    Returns:
        Float64 array `(n,)`, each >= 0, in squared units of f over units of x to the
        fourth power. Not finite where f has no second derivative.
    Raises:
        ValueError: for a function that returns no single tensor, for an empty `x`, or
            on a backend without derivatives.
    Reference: Ni et al., On the Nonlinearity of Layer Normalization, ICML 2024; the
    definition as derived in docs/theory.md.
    """
    x = _points(fn_or_model, x)
    d = x[0].size
    i, j = np.triu_indices(d)
    weight = np.where(i == j, 1.0, 2.0)  # the Hessian is symmetric

    def directions(rows):
        pair = rows % len(i)
        u, v = np.zeros((2, len(rows), d), x.dtype)
        u[np.arange(len(rows)), i[pair]] = 1
        v[np.arange(len(rows)), j[pair]] = 1
        return u, v

    _, curvature = squared_derivatives(
        as_function(fn_or_model, x),
        [x],
        len(i),
        lambda rows: [directions(rows)],
        batch_size,
    )
    return curvature @ weight


def hessian_nonlinearity_estimate(
    fn_or_model: Callable[[Any], Any] | keras.layers.Layer,
    x: Any,
    num_samples: int = 64,
    seed: int = 0,
    batch_size: int = 256,
) -> Estimate:
    """H(f; x) estimated for d in the thousands, with a standard error.

    H = E ||D^2 f(x)[u, v]||^2 over independent standard normal u and v, and each draw
    is one nested forward-mode derivative. The estimate is unbiased, and as the fourth
    moment of a Gaussian bilinear form is at most nine times its squared second, the
    relative standard error is at most sqrt(8 / num_samples) whatever f is.

    Args:
        fn_or_model, x: as in `hessian_nonlinearity`.
        num_samples: int >= 2, pairs (u, v) drawn for each point.
        seed: int. The draws are NumPy's, so every backend sees the same directions.
        batch_size: int >= 1, rows evaluated at once; the result does not depend on it.
    Returns:
        `Estimate(value, standard_error)`, float64 arrays `(n,)` in the units of H.
    Raises:
        ValueError: as `hessian_nonlinearity`, or if num_samples < 2.
    Reference: as `hessian_nonlinearity`.
    """
    if num_samples < 2:
        raise ValueError(
            "A standard error needs 2 samples or more. "
            f"Received: num_samples={num_samples}"
        )
    x = _points(fn_or_model, x)
    rng = np.random.default_rng(seed)

    def directions(rows):
        uv = rng.standard_normal((len(rows), 2, x[0].size), dtype=np.float32)
        return [np.moveaxis(uv, 1, 0).astype(x.dtype)]

    _, curvature = squared_derivatives(
        as_function(fn_or_model, x), [x], num_samples, directions, batch_size
    )
    error = curvature.std(axis=1, ddof=1) / np.sqrt(num_samples)
    return Estimate(curvature.mean(axis=1), error)


def normalization_nonlinearity(
    x: Any, groups: int = 1, epsilon: float = 0.0
) -> np.ndarray:
    """H(LN-G; x) in closed form, in O(d); `groups=1` is LN.

    With rho = sigma^2 / (sigma^2 + epsilon) in each group of c channels,

        H = sum over groups of rho (3 (c + 1) - 18 rho + 9 rho^2)
                               / (c (sigma^2 + epsilon)^2)

    which is 3 (c - 2) / (c sigma^4) a group at epsilon = 0: zero for c = 2, where
    LN-G is the sign of a difference.

    Args:
        x: array `(n, d)`, or any `(..., d)`, channels last.
        groups: int >= 1, must divide d.
        epsilon: float >= 0, as the layers' `epsilon`. The layers' gamma and beta are
            taken as 1 and 0: a gamma of its own scales each output's part by gamma^2.
    Returns:
        Float64 array `(...)`, in units of x to the power -4. inf for a constant group
        at epsilon = 0, and 0 there for epsilon > 0, where LN is odd about that point.
    Raises:
        ValueError: if groups do not divide d or hold one channel each.
    Reference: derived in docs/theory.md; tested against automatic differentiation.
    """
    x = np.asarray(x, np.float64)
    size = _group_size(x.shape[-1], groups)
    if epsilon < 0:
        raise ValueError(f"`epsilon` must be >= 0. Received: epsilon={epsilon}")
    z = x.reshape(*x.shape[:-1], groups, size)
    z = z - z[..., :1]  # exact for neighbors, and the mean is then a small number
    variance = z.var(axis=-1)
    total = variance + epsilon
    with np.errstate(divide="ignore", invalid="ignore"):
        rho = np.where(total > 0, variance / total, 1.0)
        parts = rho * (3 * (size + 1) - 18 * rho + 9 * rho**2) / (size * total**2)
    if size == 2 and epsilon == 0:
        parts = np.where(total > 0, 0.0, np.inf)
    return parts.sum(axis=-1)


def amplification_bound(d: int, groups: Any) -> Any:
    """The bound H(LN-G; x) / H(LN; x) >= g (d - 2g) / (d - 2), for every x.

    It is >= 1 exactly for g <= d / 3, largest at g = d / 4 (groups of four, where it is
    d^2 / (8 (d - 2))), 0 at g = d / 2, and reached where all groups of x have the same
    mean and variance.

    Args:
        d: int >= 3, channels.
        groups: int or array of ints, each dividing d.
    Returns:
        Float or array, dimensionless.
    Raises:
        ValueError: if d < 3, where H(LN) = 0, or groups do not divide d.
    Reference: Ni et al., ICML 2024, for the condition g <= d / 3; the bound itself is
    derived in docs/theory.md.
    """
    if d < 3:
        raise ValueError(f"H(LN) is 0 for fewer than 3 channels. Received: d={d}")
    for g in np.ravel(groups):
        _group_size(d, int(g))
    g = np.asarray(groups, np.float64)
    bound = g * (d - 2 * g) / (d - 2)
    return float(bound) if bound.ndim == 0 else bound


def squared_derivatives(
    fn: Callable[..., Any],
    xs: Sequence[np.ndarray],
    draws: int,
    directions: Callable[[np.ndarray], Sequence[tuple[np.ndarray, np.ndarray]]],
    batch_size: int,
) -> tuple[np.ndarray, np.ndarray]:
    """`||J u||^2` and `||D^2 f[u, v]||^2` for `draws` pairs (u, v) at each point.

    Args:
        fn: function of `len(xs)` tensors.
        xs: list of arrays `(n, ...)`, the arguments of `fn`.
        draws: int, pairs of directions a point.
        directions: function of the row numbers, row = point * draws + draw, to a list
            of `(u, v)`, each `(rows, size of a point)`, one pair for each argument. It
            is called once for each row, in order.
        batch_size: int, rows at once.
    Returns:
        Two float64 arrays `(n, draws)`.
    """
    derivative = SecondDerivative(fn)
    total = len(xs[0]) * draws
    batch_size = min(batch_size, total)
    slope, curvature = np.empty((2, total))
    for start in range(0, total, batch_size):
        rows = np.arange(start, min(start + batch_size, total))
        # Every batch has the same size, so that it is compiled once.
        padding = (0, batch_size - len(rows))
        points = np.pad(rows, padding, mode="edge") // draws
        us: list[np.ndarray] = []
        vs: list[np.ndarray] = []
        for x, (u, v) in zip(xs, directions(rows), strict=True):
            for batch, w in ((us, u), (vs, v)):
                w = np.pad(w, (padding, (0, 0)))
                batch.append(w.reshape(batch_size, *x.shape[1:]))
        first, second = derivative([x[points] for x in xs], us, vs)
        slope[rows] = np.square(first[: len(rows)]).sum(axis=1)
        curvature[rows] = np.square(second[: len(rows)]).sum(axis=1)
    return slope.reshape(-1, draws), curvature.reshape(-1, draws)


def _points(fn_or_model, x):
    x = np.asarray(keras.ops.convert_to_numpy(x))
    if x.ndim < 2 or x.size == 0:
        raise ValueError(
            "`x` must be a batch of points (n, ...) that is not empty. "
            f"Received: x of shape {x.shape}"
        )
    return x.astype(compute_dtype(fn_or_model, x))


def _group_size(d, groups):
    if groups < 1 or d % groups:
        raise ValueError(
            "`groups` must divide the number of channels. "
            f"Received: groups={groups}, {d} channels"
        )
    if d // groups == 1:
        raise ValueError(
            "A group of one channel is constant after normalization. "
            f"Received: groups={groups}, {d} channels"
        )
    return d // groups
