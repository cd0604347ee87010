"""A width-3 LN-Net for given samples as numbers, before any network is built."""

import dataclasses
from typing import Any

import numpy as np

from lng_keras.construction.line import FloatLine, fold_to_classes
from lng_keras.construction.samples import distinct, project
from lng_keras.construction.search import NUMBERS, Fold
from lng_keras.construction.weights import network_weights

_SAFETY = 4.0  # the error bound is first order, and kernels differ in their last bits
_AMPLE = 1e3  # times the limit: no other attempt is made
_HOPELESS = 1e-6  # times the limit: attempts differ by less
_ATTEMPTS = 6
BONUSES = (4.0, 2.0, 1.0, 0.4)  # for "runs", all are tried; see find_fold


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
    folds: tuple[Fold, ...]
    thresholds: np.ndarray
    order: np.ndarray
    classes: np.ndarray
    gaps: np.ndarray
    quality: float
    merge: str

    def scalars(self, x: Any) -> np.ndarray:
        """The last output of the network, `(n,)`, in float64 NumPy."""
        s = np.asarray(x, np.float64).reshape(len(x), -1) @ self.direction + self.offset
        for fold in self.folds:
            s = fold(s)
        return s

    def predict(self, x: Any) -> np.ndarray:
        """The labels of samples, `(n,)`, in float64 NumPy."""
        pieces = np.searchsorted(self.thresholds, self.scalars(x))
        return self.classes[self.order[pieces]]

    def weights(self) -> list[np.ndarray]:
        """The network's kernels and biases in float64, as `set_weights` takes them."""
        return network_weights(
            self.direction, self.offset, self.folds, self.thresholds, self.order
        )

    def holds(self, dtype: str) -> bool:
        """Whether a forward pass in this dtype keeps the classes apart."""
        return bool(self.quality > _SAFETY * np.finfo(dtype).eps)


def plan_layers(
    x: Any,
    labels: Any,
    seed: int = 0,
    merge: str = "runs",
    attempts: int = _ATTEMPTS,
    numbers: int = NUMBERS,
) -> Plan:
    """Finds the layers of a width-3 LN-Net that gives the samples their labels.

    The samples are projected on a line; each LN layer folds the line so that points of
    one label meet, and the last output is cut into one interval for each class.

    Args:
        x: array `(m, ...)`, samples; each is flattened.
        labels: array `(m,)`, ints, strings or bools.
        seed: int. Same samples, labels and seed: same plan.
        merge: "points", the paper's construction: every layer merges two points, so
            with m distinct samples and C classes there are m - C layers, and one more
            for more than two classes. "runs": points of one label that are neighbors on
            the line need not become one point. Every layer merges two points too, but
            may join many runs of neighbors at once, and one run for each class is
            enough: never more than m - C layers, and fewer the longer the runs are
            along the best direction found; none if the classes are separable by
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
    x, y, classes = distinct(x, labels)
    check_merge(merge)
    bonuses = BONUSES if merge == "runs" else (1.0,) * attempts
    limit = _SAFETY * np.finfo(np.float64).eps
    best = None
    for attempt, bonus in enumerate(bonuses):
        rng = np.random.default_rng([seed, attempt])
        # Quality only falls: what cannot become the best is given up early.
        worth = 0.0 if best is None else min(best.quality, _AMPLE * limit)
        plan = _attempt(x, y, classes, rng, merge, bonus, numbers, worth)
        if plan is None:
            continue
        best = plan if best is None else max(best, plan, key=lambda p: _rank(p, limit))
        if merge == "points" and not _HOPELESS * limit < best.quality < _AMPLE * limit:
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
            f"seed={seed}; try another seed, remove near duplicates, or use "
            "construction.ExactLNNet (arbitrary precision, not Keras)"
        )
    return best


def check_merge(merge: str) -> None:
    """Refuses what is no way to merge."""
    if merge not in ("points", "runs"):
        raise ValueError(f'`merge` must be "points" or "runs". Received: {merge!r}')


def _rank(plan, limit):
    enough = plan.quality > _AMPLE * limit
    return (enough, -len(plan.folds) if enough else plan.quality)


def _attempt(x, y, classes, rng, merge, bonus, numbers, worth):
    """One greedy construction, or None if it came to a dead end."""
    direction, offset = project(x, y, rng, merge)
    # Of a sum in any order; the line itself is scaled to [-1, 1].
    error = np.abs(x) @ np.abs(direction) + abs(offset) + 1
    line = FloatLine(x @ direction + offset, error)
    found = fold_to_classes(line, y, rng, merge, bonus, numbers, worth)
    if found is None:
        return None
    return Plan(direction, offset, classes=classes, merge=merge, **found)
