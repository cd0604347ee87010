"""The points on the line between two layers, and the greedy sequence of folds.

`FloatLine` holds them in float64 with a bound of their rounding errors;
`lng_keras.construction.exact.ExactLine` in as many digits as are needed.
"""

from typing import Any

import numpy as np

from lng_keras.construction.search import Fold, find_fold


class FloatLine:
    """Points in float64 with a bound of the rounding error that each has gathered.

    Attributes:
        position: array `(k,)`, where the search sees the points.
        error: array `(k,)`, in units of one rounding, the spacing of numbers at 1.
    """

    def __init__(self, position: np.ndarray, error: np.ndarray):
        self.position, self.error = position, error

    def fold(self, fold: Fold, pair: tuple[int, int] | None = None) -> Fold:
        """Moves all points; `pair` meets and the second is dropped. Returns the fold.

        The fold's angle is that of the pair already.
        """
        error = fold.error(self.position, self.error)
        self.position = fold(self.position)
        self.error = error
        if pair is not None:
            i, j = pair
            error[i] = max(error[i], error[j])
            self.position, self.error = np.delete(self.position, j), np.delete(error, j)
        return fold

    def order(self) -> np.ndarray:
        """The points' indices from left to right."""
        return np.argsort(self.position)

    def gaps(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Between neighbors: distance over the range, and distance over the error."""
        t, error = self.position[order], self.error[order]
        gap = np.diff(t)
        return gap / np.ptp(t), gap / (error[1:] + error[:-1])

    def middles(self, order: np.ndarray) -> np.ndarray:
        """Between neighbors: the point halfway."""
        t = self.position[order]
        return (t[1:] + t[:-1]) / 2


def fold_to_classes(
    line: Any,
    labels: np.ndarray,
    rng: np.random.Generator,
    merge: str,
    bonus: float,
    numbers: int,
    worth: float = 0.0,
) -> dict[str, Any] | None:
    """Folds a line until there is one point, or one run, for each class.

    Args:
        line: `FloatLine` or `ExactLine`; it is changed.
        labels: int array `(k,)` of the points; every class at least once.
        rng, merge, bonus, numbers: as in `find_fold`.
        worth: float, give up when the quality falls to this or below.
    Returns:
        dict of `folds`, `gaps`, `quality`, `thresholds` and `order` as in `Plan`, or
        None at a dead end.
    """
    target = labels.max() + 1
    folds, gaps, quality = [], [], np.inf

    def look():
        nonlocal quality
        order = line.order()
        borders = np.flatnonzero(np.diff(labels[order]))
        gap, ratio = line.gaps(order)
        gaps.append(float(gap[borders].min()))
        quality = min(quality, float(ratio[borders].min()))
        return order, borders

    order, borders = look()
    while (len(labels) if merge == "points" else len(borders) + 1) > target:
        found = None
        if quality > worth:
            found = find_fold(
                line.position, line.error, labels, rng, merge, bonus, numbers
            )
        if found is None:
            return None
        fold, *pair = found
        folds.append(line.fold(fold, pair))
        labels = np.delete(labels, pair[1])
        order, borders = look()
    if merge == "points" and target > 2:
        folds.append(line.fold(_spread(line.position)))
        order, borders = look()
    if quality <= worth:
        return None
    pieces = np.append(borders, len(labels) - 1)
    return dict(
        folds=tuple(folds),
        gaps=np.array(gaps),
        quality=quality,
        thresholds=line.middles(order)[borders],
        order=labels[order][pieces],
    )


def _spread(t):
    """A fold beyond the last point, one to one, that spreads the points evenly."""
    scale, middle = 2 / np.ptp(t), (t.min() + t.max()) / 2
    folds = [
        Fold(float(a * scale), float(middle + b / scale), 0.0)
        for a in np.geomspace(0.1, 30, 16)
        for b in np.linspace(-1, 1, 15)
    ]
    return max(folds, key=lambda f: np.diff(np.sort(f(t))).min() / np.ptp(f(t)))
