"""A width-3 LN-Net for given samples as numbers, before any network is built."""

import dataclasses

import numpy as np

from lng_keras.construction.search import NUMBERS, Fold, find_fold

_DIRECTIONS = 256
_SAFETY = 4.0  # the error bound is first order, and kernels differ in their last bits
_AMPLE = 1e3  # times the limit: no other attempt is made
_ATTEMPTS = 6
_BONUSES = (2.0, 1.0, 0.4, 0.1)


@dataclasses.dataclass(frozen=True)
class Plan:
    """What the layers of an LN-Net compute, and how much precision that needs.

    Attributes:
        direction, offset: array `(d,)` and float: `t = x @ direction + offset`.
        folds: tuple of `Fold`, one for each LN layer.
        thresholds: increasing array `(C - 1,)` that cuts the last output into classes.
        order: int array `(C,)`, the class of each piece.
        classes: array `(C,)`, the labels.
        gaps: array, for the input line and after each fold the smallest gap between
            points of different labels, as a fraction of the range.
        quality: the smallest gap over all layers in units of the rounding error that
            has gathered by then, for a rounding error of 1; dtypes with a spacing at
            1 well below it hold the result.
        merge: "points" or "runs".
    """

    direction: np.ndarray
    offset: float
    folds: tuple
    thresholds: np.ndarray
    order: np.ndarray
    classes: np.ndarray
    gaps: np.ndarray
    quality: float
    merge: str

    def scalars(self, x):
        """The last output of the network, `(n,)`, in float64 NumPy."""
        s = np.asarray(x, np.float64).reshape(len(x), -1) @ self.direction + self.offset
        for fold in self.folds:
            s = fold(s)
        return s

    def predict(self, x):
        """The labels of samples, `(n,)`, in float64 NumPy."""
        pieces = np.searchsorted(self.thresholds, self.scalars(x))
        return self.classes[self.order[pieces]]

    def holds(self, dtype):
        """Whether a forward pass in this dtype keeps the classes apart."""
        return self.quality > _SAFETY * np.finfo(dtype).eps


def plan_layers(x, labels, seed=0, merge="runs", attempts=_ATTEMPTS, numbers=NUMBERS):
    """Finds the layers of a width-3 LN-Net that gives the samples their labels.

    The samples are projected on a line; each LN layer folds the line so that points of
    one label meet, and the last output is cut into one interval for each class.

    Args:
        x: array `(m, ...)`, samples; each is flattened.
        labels: array `(m,)`, ints, strings or bools.
        seed: int. Same samples, labels and seed: same plan.
        merge: "points", the paper's construction: every layer merges two points, so
            with m distinct samples and C classes there are m - C layers, and one more
            for more than two classes. "runs": neighbors of one label on the line need
            not become one point, only one interval, and a fold may join many of them:
            never more than m - C layers, and fewer the longer the runs of equal labels
            are along the best direction found; none if the classes are separable by
            parallel planes.
        attempts: int >= 1, constructions to try for "points" while float64 is short of
            room.
        numbers: int, points times folds to try for each layer; more keep wider gaps
            and take longer, which pays for hundreds of samples.
    Returns:
        `Plan`, the one with the fewest layers that float64 holds, or the one with the
        largest gaps if it holds none.
    Raises:
        ValueError: for fewer than two classes, equal samples with different labels, or
            samples that are not finite.
    """
    x, y, classes = _distinct(x, labels)
    if merge not in ("points", "runs"):
        raise ValueError(f'`merge` must be "points" or "runs". Received: {merge!r}')
    bonuses = _BONUSES if merge == "runs" else (1.0,) * attempts
    limit = _SAFETY * np.finfo(np.float64).eps
    best = None
    for attempt, bonus in enumerate(bonuses):
        rng = np.random.default_rng([seed, attempt])
        plan = _attempt(x, y, classes, rng, merge, bonus, numbers)
        if plan is None:
            continue
        best = plan if best is None else max(best, plan, key=lambda p: _rank(p, limit))
        if best.quality > _AMPLE * limit and merge == "points":
            break
        if not best.folds:
            break
    if best is None or not best.holds(np.float64):
        if merge == "runs":
            return plan_layers(x, classes[y], seed, "points", attempts, numbers)
    if best is None:
        raise ValueError(
            f"No layers were found for {len(x)} samples of {len(classes)} classes: two "
            "of different labels come too close. Received: "
            f"seed={seed}; try another seed, or remove near duplicates"
        )
    return best


def _rank(plan, limit):
    enough = plan.quality > _AMPLE * limit
    return (enough, -len(plan.folds) if enough else plan.quality)


def _distinct(x, labels):
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
        raise ValueError(
            "Equal samples must have equal labels. Received: samples "
            f"{i} and {j} are equal and have labels {labels[i]!r} and {labels[j]!r}"
        )
    return x, y[first], classes


def _attempt(x, y, classes, rng, merge, bonus, numbers):
    """One greedy construction, or None if it came to a dead end."""
    direction, offset = _project(x, y, rng, merge)
    t = x @ direction + offset
    # Of a sum in any order; the line itself is scaled to [-1, 1].
    error = np.abs(x) @ np.abs(direction) + abs(offset) + 1
    point, labels, target = t, y, len(classes)
    folds, gaps, quality = [], [], np.inf

    def look():
        gap, ratio, runs = _border_gaps(point, error, labels)
        gaps.append(gap)
        return min(quality, ratio), runs

    quality, runs = look()
    while (len(point) if merge == "points" else runs) > target:
        found = find_fold(point, error, labels, rng, merge, bonus, numbers)
        if found is None or quality <= 0 or len(folds) > 2 * len(x):
            return None
        fold, i, j = found
        error = fold.error(point, error)
        point = fold(point)
        folds.append(fold)
        if merge == "points":
            error[i] = max(error[i], error[j])
            point, error, labels = (np.delete(a, j) for a in (point, error, labels))
        quality, runs = look()
    if merge == "points" and target > 2:
        fold = _spread(point)
        error, point = fold.error(point, error), fold(point)
        folds.append(fold)
        quality, runs = look()
    if quality <= 0:
        return None
    order = np.argsort(point)
    point, labels = point[order], labels[order]
    ends = np.flatnonzero(np.diff(labels))
    return Plan(
        direction=direction,
        offset=offset,
        folds=tuple(folds),
        thresholds=(point[ends] + point[ends + 1]) / 2,
        order=labels[np.append(ends, len(labels) - 1)],
        classes=classes,
        gaps=np.array(gaps),
        quality=float(quality),
        merge=merge,
    )


def _border_gaps(t, error, labels):
    """Smallest gap between labels over the range, over the error, and the runs."""
    order = np.argsort(t)
    borders = np.diff(labels[order]) != 0
    gap = np.diff(t[order])[borders]
    errors = (error[order][1:] + error[order][:-1])[borders]
    return (gap / np.ptp(t)).min(), (gap / errors).min(), len(gap) + 1


def _project(x, y, rng, merge):
    """The best direction of many: few runs of equal labels, then wide gaps."""
    std = x.std(axis=0)
    weight = np.where(std > 0, 1 / np.where(std > 0, std, 1), 0)
    directions = rng.normal(size=(x.shape[1], _DIRECTIONS)) * weight[:, None]
    if merge == "runs":
        one_hot = np.eye(y.max() + 1)[y]
        z = (x - x.mean(axis=0)) * weight
        fit = np.linalg.lstsq(z, one_hot - one_hot.mean(axis=0), rcond=None)[0]
        mixed = fit @ rng.normal(size=(fit.shape[1], _DIRECTIONS // 2))
        fitted = np.concatenate([fit, mixed], axis=1) * weight[:, None]
        directions = np.concatenate([directions, fitted], axis=1)
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


def _spread(t):
    """A fold beyond the last point, one to one, that spreads the points evenly."""
    scale, middle = 2 / np.ptp(t), (t.min() + t.max()) / 2
    folds = [
        Fold(float(a * scale), float(middle + b / scale), 0.0)
        for a in np.geomspace(0.1, 30, 16)
        for b in np.linspace(-1, 1, 15)
    ]
    return max(folds, key=lambda f: np.diff(np.sort(f(t))).min() / np.ptp(f(t)))
