"""How linearly separable classes are: SSR, its lower bound LSSR, and least squares."""

from typing import Any

import numpy as np

_ROWS = 8192  # rows held in float64 at once


def sum_of_squares_ratio(x: Any, labels: Any) -> float:
    """SSR = sum over classes of SS(X_k) / SS(X), SS the squares about the mean.

    In [0, 1]: 0 if each class is one point, 1 if all classes have the same mean. A
    linear map can lower it, down to `linear_sum_of_squares_ratio`.

    Args:
        x: array `(n, ...)`, n samples; each is flattened. Any real dtype, summed in
            float64 without a float64 copy of `x`.
        labels: array `(n,)`, the class of each sample: ints, strings or bools.
    Returns:
        Float. Degenerate input: 1.0 if all samples are the same point.
    Raises:
        ValueError: if x and labels differ in length, or there are fewer than 2 samples.
    Reference: Ni et al., On the Nonlinearity of Layer Normalization, ICML 2024.
    """
    x, classes = _check(x, labels)
    counts = np.bincount(classes)
    # About a point of the data, so that an offset costs no digits.
    pivot = np.asarray(x[0], np.float64)
    sums = np.zeros((len(counts), x.shape[1]))
    for block, k in _blocks(x, classes, pivot):
        np.add.at(sums, k, block)
    means = sums / counts[:, None]
    mean = sums.sum(axis=0) / len(x)
    within = total = 0.0
    for block, k in _blocks(x, classes, pivot):
        within += np.square(block - means[k]).sum()
        total += np.square(block - mean).sum()
    return float(min(within / total, 1.0)) if total > 0 else 1.0


def linear_sum_of_squares_ratio(x: Any, labels: Any) -> float:
    """LSSR: the lowest SSR that any linear map of the samples reaches.

    The smallest generalized eigenvalue of the within-class and the total scatter, on
    the range of the latter. In [0, 1]: 1 if all classes have the same mean, 0 if some
    linear function is constant on each class and not on all. Invariant under
    invertible affine maps, and no affine map lowers it; for two classes it is 1 - R^2
    of regressing the label on the features.

    It says something only where samples outnumber features: d + 1 generic points have
    LSSR 0 with any labels.

    Why not an eigenvalue problem of the scatter matrices: forming X^T X squares the
    condition number, and where features depend on each other its null space cannot be
    told from rounding. Here the centered data are reduced to a triangle by Householder
    reflections, block by block, and LSSR is 1 - s^2, s the largest cosine between the
    range of the data and the span of the class indicators.

    Args:
        x: array `(n, ...)`, as in `sum_of_squares_ratio`. Memory: a few blocks of 8192
            samples and d x d numbers in float64; time grows as n d^2.
        labels: array `(n,)`, the class of each sample.
    Returns:
        Float. Directions in which `x` varies by no more than the rounding of its own
        dtype do not count. Degenerate input: 1.0 if no direction is left.
    Raises:
        ValueError: as `sum_of_squares_ratio`.
    Reference: as `sum_of_squares_ratio`; the form is derived in docs/theory.md.
    """
    x, classes = _check(x, labels)
    counts = np.bincount(classes)

    def indicators(k):
        return np.eye(len(counts))[k] / np.sqrt(counts[k])[:, None]

    # [X, Y] = Q [[R, C], [0, *]]: the reflections that reduce X are applied to Y, so
    # C is Q^T Y without Q. Rank and range of X are those of R.
    r, c, _, noise = _reduce(x, classes, indicators)
    u, s, _ = np.linalg.svd(r)
    cosines = u[:, s > noise].T @ c
    if cosines.size == 0:
        return 1.0
    largest = np.linalg.norm(cosines, 2)
    return float(np.clip(1 - largest**2, 0.0, 1.0))


def least_squares_accuracy(x: Any, labels: Any) -> float:
    """Training accuracy of the linear classifier that least squares fits.

    Regresses the one-hot labels on the features and a constant, and predicts the
    largest output. It is what a linear net trained with the squared loss converges to:
    on random labels, anything clearly above it is nonlinearity.

    Args:
        x: array `(n, ...)`, as in `sum_of_squares_ratio`.
        labels: array `(n,)`, the class of each sample.
    Returns:
        Float in [0, 1], the fraction of the n samples predicted right.
    Raises:
        ValueError: as `sum_of_squares_ratio`.
    """
    x, classes = _check(x, labels)
    counts = np.bincount(classes)
    one_hot = np.eye(len(counts))
    r, c, (mean, scale), noise = _reduce(x, classes, lambda k: one_hot[k])
    u, s, vt = np.linalg.svd(r)
    kept = s > noise
    # One-hot labels need no centering: the centered features are orthogonal to ones.
    weights = vt[kept].T @ ((u[:, kept].T @ c) / s[kept, None])
    right = 0
    for block, k in _blocks(x, classes, mean):
        outputs = (block * scale) @ weights + counts / len(x)
        right += int(np.count_nonzero(outputs.argmax(axis=1) == k))
    return float(right / len(x))


def _reduce(x, classes, targets):
    """Reduces the standardized data, and targets beside them, to a triangle.

    Returns:
        R `(d, d)` and Q^T targets `(d, k)` for X = Q R; the mean and the factor that
        standardize a feature; and the singular value of R at or below which a
        direction is rounding noise.
    """
    n, d = x.shape
    epsilon = np.finfo(x.dtype).eps if x.dtype.kind == "f" else np.finfo(float).eps
    mean, std, magnitude = _moments(x, classes)
    varies = std > 8 * epsilon * magnitude
    # A feature's own scale must not decide what counts as noise.
    scale = np.where(varies, 1 / np.where(varies, std, 1.0), 0.0)
    width = len(targets(classes[:1])[0])
    triangle = np.zeros((0, d + width))
    for block, k in _blocks(x, classes, mean):
        rows = np.concatenate([block * scale, targets(k)], axis=1)
        triangle = np.linalg.qr(np.concatenate([triangle, rows]), mode="r")
    triangle = np.pad(triangle, ((0, max(0, d - len(triangle))), (0, 0)))
    r, c = triangle[:d, :d], triangle[:d, d:]
    # A matrix of independent errors of this size has norm relative * (sqrt n + sqrt d).
    relative = epsilon * np.sqrt(np.mean(np.square(magnitude * scale)) if d else 0.0)
    noise = 8 * relative * (np.sqrt(n) + np.sqrt(d))
    # The reduction's own error.
    noise = max(noise, 8 * np.finfo(float).eps * np.linalg.norm(r))
    return r, c, (mean, scale), noise


def _moments(x, classes):
    """Mean, standard deviation and root mean square of each feature, in float64."""
    pivot = np.asarray(x[0], np.float64)
    mean = sum(b.sum(axis=0) for b, _ in _blocks(x, classes, pivot)) / len(x) + pivot
    variance = sum(
        np.square(b).sum(axis=0) for b, _ in _blocks(x, classes, mean)
    ) / len(x)
    return mean, np.sqrt(variance), np.sqrt(variance + mean**2)


def _blocks(x, classes, origin):
    for start in range(0, len(x), _ROWS):
        rows = slice(start, start + _ROWS)
        yield x[rows].astype(np.float64) - origin, classes[rows]


def _check(x, labels):
    x, labels = np.asarray(x), np.asarray(labels)
    if labels.shape != x.shape[:1] or len(x) < 2:
        raise ValueError(
            "Expected n >= 2 samples (n, ...) and their labels (n,). "
            f"Received: x of shape {x.shape}, labels of shape {labels.shape}"
        )
    return x.reshape(len(x), -1), np.unique(labels, return_inverse=True)[1]
