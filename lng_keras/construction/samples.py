"""What the construction begins with: distinct samples, and a line to see them on."""

from typing import Any

import numpy as np

_DIRECTIONS = 256
_ROUNDS, _KEPT = 24, 8  # of the search for directions with few runs


def distinct(x: Any, labels: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns samples without repetition `(m, d)`, their classes, and the labels.

    Raises:
        ValueError: for fewer than two classes, equal samples with different labels, or
            samples that are not finite.
    """
    x, labels = np.asarray(x, np.float64), np.asarray(labels)
    if labels.shape != x.shape[:1] or not len(x):
        raise ValueError(
            "Expected samples (m, ...) and their labels (m,). "
            f"Received: x of shape {x.shape}, labels of shape {labels.shape}"
        )
    x = x.reshape(len(x), -1)
    if not np.isfinite(x).all():
        raise ValueError(
            "Samples must be finite. "
            f"Received: sample {np.argmin(np.isfinite(x).all(axis=1))} is not"
        )
    classes, y = np.unique(labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(f"Two classes or more are needed. Received: {classes}")
    x, first, of = np.unique(x, axis=0, return_index=True, return_inverse=True)
    of = of.ravel()
    clash = np.flatnonzero(y != y[first][of])
    if len(clash):
        i, j = first[of[clash[0]]], clash[0]
        names = labels.tolist()
        raise ValueError(
            "Equal samples must have equal labels. Received: samples "
            f"{i} and {j} are equal and have labels {names[i]!r} and {names[j]!r}"
        )
    return x, y[first], classes


def project(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, merge: str
) -> tuple[np.ndarray, float]:
    """The best direction of many: few runs of equal labels, then wide gaps.

    Returns:
        `(direction, offset)`, array `(d,)` and float, with `x @ direction + offset`
        in [-1, 1].
    """
    std = x.std(axis=0)
    weight = np.where(std > 0, 1 / np.where(std > 0, std, 1), 0)
    z = (x - x.mean(axis=0)) * weight
    directions = rng.normal(size=(x.shape[1], _DIRECTIONS))
    if merge == "runs":
        directions = _few_runs(z, y, np.hstack([directions, _informed(z, y, rng)]), rng)
    directions = directions * weight[:, None]
    t = x @ directions
    order = np.argsort(t, axis=0)
    sorted_t, sorted_y = np.take_along_axis(t, order, axis=0), y[order]
    extent = sorted_t[-1] - sorted_t[0]
    borders = np.diff(sorted_y, axis=0) != 0
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.diff(sorted_t, axis=0) / extent
        score = 1 / np.where(borders, 1 / gap, 0).sum(axis=0)
    usable = np.isfinite(score) & (score > 1e-12)
    if not usable.any():
        usable = np.isfinite(score) & (score > 0)
    if not usable.any():
        usable[:] = True
    if merge == "runs":
        runs = borders.sum(axis=0)
        usable &= runs == runs[usable].min()
    k = np.argmax(np.where(usable, score, -np.inf))
    scale = 2 / max(extent[k], np.finfo(float).tiny)
    middle = (sorted_t[0, k] + sorted_t[-1, k]) / 2
    return directions[:, k] * scale, float(-middle * scale)


def _informed(z, y, rng):
    """Directions along which classes differ: in their means, or in their spread.

    Least squares finds classes side by side. Classes that take turns along a line have
    equal means there and unequal variances: the eigenvectors of what the scatter of a
    class differs by (sliced average variance estimation, Cook and Weisberg 1991).
    """
    one_hot = np.eye(y.max() + 1)[y]
    fit = np.linalg.lstsq(z, one_hot - one_hot.mean(axis=0), rcond=None)[0]
    mixed = fit @ rng.normal(size=(fit.shape[1], _DIRECTIONS // 2))
    found = [fit, mixed]
    u, s, vt = np.linalg.svd(z, full_matrices=False)
    rank = int((s > 1e-10 * max(s[0], 1e-300)).sum())
    white, back = u[:, :rank], vt[:rank].T / np.where(s[:rank] > 0, s[:rank], 1)
    for k in range(one_hot.shape[1]):
        own = white[y == k]
        scatter = own.T @ own / len(own) - white.T @ white / len(white)
        values, vectors = np.linalg.eigh(scatter)
        found.append(back @ vectors[:, np.argsort(-np.abs(values))[:_KEPT]])
    return np.hstack(found)


def _few_runs(z, y, directions, rng):
    """Directions, and better ones near those along which the labels change least."""
    size = np.sqrt((directions**2).sum(axis=0))
    directions = directions[:, size > 0] / size[size > 0]
    runs = _runs(z, y, directions)
    for k in range(_ROUNDS):
        best = directions[:, np.argsort(runs, kind="stable")[:_KEPT]]
        spread = 0.5 * 0.8**k / np.sqrt(len(z[0]))
        shape = (*best.shape, _DIRECTIONS // 2 // _KEPT)
        near = best[:, :, None] + spread * rng.normal(size=shape)
        near = near.reshape(len(best), -1)
        near /= np.sqrt((near**2).sum(axis=0))
        directions = np.hstack([directions, near])
        runs = np.concatenate([runs, _runs(z, y, near)])
    return directions


def _runs(z, y, directions):
    """How often the label changes along each direction."""
    order = np.argsort(z @ directions, axis=0)
    return (np.diff(y[order], axis=0) != 0).sum(axis=0)
