"""One layer of the construction: which fold of the line merges and keeps gaps open.

A width-3 LN layer maps the line to a circle by central projection and back to a line by
orthogonal projection,

    t -> w = slope (t - shift) -> theta = arccot(w) -> cos(theta - angle)

which rises to a fold at theta = angle and falls after it. Two points at equal distance
from the fold land on each other.
"""

import dataclasses

import numpy as np

_SLOPES = np.geomspace(0.2, 12, 7)  # on t scaled to [-1, 1]
_SHIFTS = np.linspace(-1.2, 1.2, 7)
_NEAR = 4  # points from either end between which pairs are always tried
_REFINEMENTS = (0.25, 0.12)  # spread of the search around the best, in log slope
_BEST, _AROUND = 8, 16
NUMBERS = 60_000


@dataclasses.dataclass(frozen=True)
class Fold:
    """`t -> cos(arccot(slope (t - shift)) - angle)`, t the output of the layer before.

    `slope` > 0 in units of 1/t, `shift` in units of t, `angle` in radians.
    """

    slope: float
    shift: float
    angle: float

    @property
    def readout(self) -> np.ndarray:
        """Where the circle is read out: cosine and sine of the angle, `(2,)`."""
        return np.array([np.cos(self.angle), np.sin(self.angle)])

    def __call__(self, t: np.ndarray) -> np.ndarray:
        return np.cos(np.arctan2(1, self.slope * (t - self.shift)) - self.angle)

    def error(self, t: np.ndarray, error: np.ndarray) -> np.ndarray:
        """First-order bound of the rounding error after the fold, in roundings.

        One rounding is the spacing of numbers at 1. What is lost before enters with
        the fold's own slope; `slope * t - slope * shift` and the cosine add theirs.
        """
        w = self.slope * (t - self.shift)
        theta = np.arctan2(1, w)
        steepness = np.abs(np.sin(theta - self.angle)) / (1 + w * w)
        added = np.abs(self.slope * t) + np.abs(self.slope * self.shift)
        return steepness * (self.slope * error + added) + 1


def find_fold(
    t: np.ndarray,
    error: np.ndarray,
    labels: np.ndarray,
    rng: np.random.Generator,
    merge: str,
    bonus: float = 1.0,
    numbers: int = NUMBERS,
    width: int = 16,
) -> tuple[Fold, int, int] | None:
    """Searches the fold that does the most and loses the least.

    Pairs of one label near both ends of the line, and `width` random ones, are tried
    with a grid of slopes and shifts, and the best are refined. Folding at the ends
    stretches nothing; folding anywhere lets gaps grow and fill again; which one is
    better is decided by the gaps that are left, in units of the rounding error that
    has gathered, so that neither collisions nor stretching go unseen.

    Args:
        t: array `(k,)`, distinct points of the line.
        error: array `(k,)`, their rounding errors in units of one rounding.
        labels: int array `(k,)`.
        rng: `numpy.random.Generator`.
        merge: "points": one pair becomes one point. "runs": likewise, and as many runs
            of neighbors with one label as possible join.
        bonus: float > 0, for "runs": what joining one run is worth, as the logarithm
            of the factor by which gaps may shrink for it.
        numbers: int, points times folds to try: with more points fewer folds are
            tried, but 100 at least, so that the cost of a layer does not grow with m^2.
        width: int >= 1, random pairs to try.
    Returns:
        `(Fold, i, j)`: the fold and the pair that it merges, or None if every fold
            that was tried brings two labels together.
    """
    low, high = t.min(), t.max()
    scale = 2 / (high - low)
    u = (t - (low + high) / 2) * scale
    order = np.argsort(u)
    points = u[order], error[order] * scale, labels[order]
    pairs = _pairs(points[2], rng, width, merge)
    if len(pairs) == 0:
        return None
    grid = np.meshgrid(_SLOPES, _SHIFTS, np.arange(len(pairs)), indexing="ij")
    slope, shift, pair = (g.ravel() for g in grid)
    if len(pair) * len(t) > numbers:
        chosen = rng.permutation(len(pair))[: max(numbers // len(t), 100)]
        slope, shift, pair = slope[chosen], shift[chosen], pair[chosen]
    score, angle = _score(points, slope, shift, pairs[pair], merge, bonus)
    for spread in _REFINEMENTS:
        best = np.argsort(-score)[:_BEST]
        shape = len(best), _AROUND
        tried = (
            (slope[best, None] * np.exp(rng.normal(size=shape) * spread)).ravel(),
            (shift[best, None] + rng.normal(size=shape) * spread / 2).ravel(),
        )
        tried_pair = np.repeat(pair[best], _AROUND)
        new, new_angle = _score(points, *tried, pairs[tried_pair], merge, bonus)
        slope = np.concatenate([slope[best], tried[0]])
        shift = np.concatenate([shift[best], tried[1]])
        pair = np.concatenate([pair[best], tried_pair])
        score = np.concatenate([score[best], new])
        angle = np.concatenate([angle[best], new_angle])
    won = np.argmax(score)
    if not np.isfinite(score[won]):
        return None
    i, j = order[pairs[pair[won]]]
    fold = Fold(
        float(slope[won] * scale),
        float((low + high) / 2 + shift[won] / scale),
        float(angle[won]),
    )
    return fold, i, j


def _pairs(labels, rng, width, merge):
    """Pairs of positions with one label that a fold may bring together."""
    k = len(labels)
    found = set()
    near = range(min(_NEAR, k))
    for i in near:
        for j in range(i + 1, min(i + 1 + _NEAR, k)):
            found.add((i, j))
            found.add((k - 1 - j, k - 1 - i))
    if merge == "runs":  # runs before and after one run
        ends = np.flatnonzero(np.diff(labels))
        last, first = ends[:-1], ends[1:] + 1
        chosen = rng.permutation(len(last))[: 2 * width]
        found.update(zip(last[chosen].tolist(), first[chosen].tolist(), strict=True))
    for i in rng.integers(0, k, width):
        j = rng.choice(np.flatnonzero(labels == labels[i]))
        found.add((int(min(i, j)), int(max(i, j))))
    same = [p for p in sorted(found) if p[0] != p[1] and labels[p[0]] == labels[p[1]]]
    return np.array(same, int).reshape(-1, 2)


def _score(points, slope, shift, pairs, merge, bonus):
    """Scores folds that bring pairs together; -inf is of no use. Also the angles."""
    u, error, labels = points
    i, j = pairs.T
    row = np.arange(len(slope))
    w = slope[:, None] * (u - shift[:, None])
    theta = np.arctan2(1, w)
    angle = (theta[row, i] + theta[row, j]) / 2
    s = np.cos(theta - angle[:, None])
    s[row, j] = s[row, i]
    steepness = np.abs(np.sin(theta - angle[:, None])) / (1 + w * w)
    error = steepness * slope[:, None] * (error + 1 + np.abs(shift)[:, None]) + 1
    order = np.argsort(s, axis=1)
    error = np.take_along_axis(error, order, axis=1)
    gap = np.diff(np.take_along_axis(s, order, axis=1), axis=1)
    extent = np.ptp(s, axis=1)[:, None]
    borders = np.diff(labels[order], axis=1) != 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(borders, gap / (error[:, 1:] + error[:, :-1]), np.inf)
        score = -np.log((1 / ratio).sum(axis=1))
        # Where one narrow gap of the past hides the rest, the open gaps still count.
        score -= np.log(np.where(borders, extent / gap, 0).sum(axis=1))
    if merge == "runs":
        before = np.count_nonzero(np.diff(labels))
        score += bonus * (before - borders.sum(axis=1))
    return np.where(np.isfinite(score), score, -np.inf), angle
