"""The construction beyond float64: a network with as many bits as its samples take.

The points are carried from layer to layer as balls of arbitrary precision, with
python-flint (the extra "exact"). The search for a fold sees them in float64 and only
proposes: where points meet, and whether the others stay apart, is computed in balls.
"""

import dataclasses
from typing import Any

import numpy as np

from lng_keras._base.extras import needed
from lng_keras.construction.line import fold_to_classes
from lng_keras.construction.plan import BONUSES, check_merge
from lng_keras.construction.samples import distinct, project
from lng_keras.construction.search import NUMBERS, Fold
from lng_keras.construction.verify import (
    Verification,
    decide,
    exact,
    precision,
    verify,
)
from lng_keras.construction.weights import network_weights

_ATTEMPTS = 4  # each with twice the bits of the one before
_NEAREST = 1e-12  # of the range: the search sees closer neighbors this far apart


@dataclasses.dataclass(frozen=True)
class ExactLNNet:
    """An LN-Net of width 3 whose weights are binary numbers of `bits` bits.

    It is what `LNNetClassifier` is, linear and LN layers alternating and nothing else,
    with epsilon 0, and is evaluated in ball arithmetic, not by Keras: neither the
    number of layers nor the gaps have a limit. `from_samples` builds one.

    Attributes:
        weights: list of object arrays of exact `flint.arb`: kernel and bias of each
            linear layer, in the order of `LNNetClassifier.get_weights`.
        classes: array `(C,)`, the labels.
        bits: int, of the mantissa of the weights.
        gaps, quality: as in `Plan`. A dtype with a spacing at 1 well below `quality`
            would hold the network.
        merge: "points" or "runs".
        proof: `Verification` of the network on its samples.
    """

    weights: list[np.ndarray]
    classes: np.ndarray
    bits: int
    gaps: np.ndarray
    quality: float
    merge: str
    proof: Verification | None = None

    @classmethod
    def from_samples(
        cls,
        x: Any,
        labels: Any,
        seed: int = 0,
        merge: str = "runs",
        bits: int | None = None,
        numbers: int = NUMBERS,
    ) -> "ExactLNNet":
        """Builds a network that classifies the m given samples exactly, and proves it.

        Args:
            x, labels, seed, merge, numbers: as in `plan_layers`. Samples are taken as
                the float64 numbers that they are.
            bits: int >= 64, of the weights; doubled if they turn out too few. None:
                128 and 2 for each sample.
        Returns:
            `ExactLNNet`. Same input and seed: same network.
        Raises:
            ImportError: without python-flint, the extra "exact".
            ValueError: as `plan_layers`.
        """
        check_merge(merge)
        points, y, classes = distinct(x, labels)
        bits = 128 + 2 * len(y) if bits is None else bits
        if bits < 64:
            raise ValueError(f"`bits` must be >= 64. Received: bits={bits}")
        for attempt in range(_ATTEMPTS):
            best = None
            for k, bonus in enumerate(BONUSES if merge == "runs" else (1.0,)):
                rng = np.random.default_rng([seed, attempt, k])
                with precision(bits):
                    net = _build(points, y, classes, rng, merge, bonus, bits, numbers)
                if net and (best is None or net.depth < best.depth):
                    best = net
            if best is not None:
                proof = verify(best, x, labels)
                if proof.right == len(x):
                    return dataclasses.replace(best, proof=proof)
            bits *= 2
        raise ValueError(
            f"No network was proved right in {_ATTEMPTS} attempts. Received: {len(x)} "
            f"samples, seed={seed}, the last with {bits // 2} bits; try another seed"
        )

    @property
    def depth(self) -> int:
        """int, LN layers."""
        return len(self.weights) // 2 - 1

    def predict_labels(self, x: Any) -> np.ndarray:
        """The label of each sample, array `(n,)`, as exact arithmetic gives it.

        Raises:
            ValueError: for a sample on the border between two classes.
        """
        winners = decide(self, x)[0]
        if None in winners:
            raise ValueError(
                "A sample lies on the border of two classes, or too close to it to be "
                f"told apart. Received: sample {winners.index(None)}"
            )
        return self.classes[np.array(winners, int)]


class ExactFold:
    """A `Fold` of balls: slope and shift are exact, the readout has all the bits."""

    def __init__(self, approximate: Fold, cos: Any, sin: Any):
        arb = needed("flint", "exact").arb
        self.slope, self.shift = arb(approximate.slope), arb(approximate.shift)
        self.readout = np.array([cos, sin], dtype=object)
        angle = float(np.arctan2(float(sin), float(cos)))
        self.approximate = Fold(approximate.slope, approximate.shift, angle)

    def __call__(self, t: Any) -> Any:
        w = self.slope * (t - self.shift)
        return (w * self.readout[0] + self.readout[1]) / (w * w + 1).sqrt()


class ExactLine:
    """Points as balls; to the search they are float64 numbers free of old errors.

    Attributes:
        points: list of `flint.arb`.
        position: array `(k,)`, float64, in the same order from left to right.
        error: array of ones, the error of `position` in roundings.
    """

    def __init__(self, points: list[Any], rounding: np.ndarray):
        self.points, self.rounding = points, rounding
        self._look()

    def _look(self):
        order = self.order()
        extent = float(self.points[order[-1]] - self.points[order[0]])
        steps = np.maximum(self._steps(order), _NEAREST * extent)
        self.position = np.empty(len(order))
        self.position[order] = np.cumsum([float(self.points[order[0]]), *steps])
        self.error = np.ones(len(order))

    def fold(self, fold: Fold, pair: tuple[int, int] | None = None) -> ExactFold:
        """As `FloatLine.fold`; a pair meets in all digits. Returns an `ExactFold`."""
        arb = needed("flint", "exact").arb
        if pair is None:
            angle = arb(np.cos(fold.angle)), arb(np.sin(fold.angle))
        else:
            angle = self._halfway(fold, *pair)
        folded = ExactFold(fold, *angle)
        self.rounding = folded.approximate.error(self._floats(), self.rounding)
        self.points = [folded(t) for t in self.points]
        if pair is not None:
            i, j = pair
            self.points[i] = self.points[i].union(self.points[j])
            self.rounding[i] = max(self.rounding[i], self.rounding[j])
            del self.points[j]
            self.rounding = np.delete(self.rounding, j)
        self._look()
        return folded

    def _halfway(self, fold, i, j):
        """Cosine and sine of the angle in the middle between two points' angles."""
        cos = sin = 0
        for k in (i, j):
            w = fold.slope * (self.points[k] - fold.shift)
            length = (w * w + 1).sqrt()
            cos, sin = cos + w / length, sin + 1 / length
        length = (cos * cos + sin * sin).sqrt()
        return (cos / length).mid(), (sin / length).mid()

    def order(self) -> np.ndarray:
        """The points' indices from left to right."""
        centers = [t.mid() for t in self.points]
        return np.array(sorted(range(len(centers)), key=centers.__getitem__))

    def gaps(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """As `FloatLine.gaps`: 0 or less where two balls overlap."""
        gap, error = self._steps(order), self.rounding[order]
        extent = float(self.points[order[-1]] - self.points[order[0]])
        return gap / extent, gap / (error[1:] + error[:-1])

    def middles(self, order: np.ndarray) -> np.ndarray:
        """Between neighbors: the point halfway."""
        t = [self.points[k] for k in order]
        middles = [((a + b) / 2).mid() for a, b in zip(t[:-1], t[1:], strict=True)]
        return np.array(middles, dtype=object)

    def _steps(self, order):
        t = [self.points[k] for k in order]
        return np.array(
            [float((b - a).lower()) for a, b in zip(t[:-1], t[1:], strict=True)]
        )

    def _floats(self):
        return np.array([float(t) for t in self.points])


def _build(x, y, classes, rng, merge, bonus, bits, numbers):
    """One greedy construction, or None if it came to a dead end or balls overlapped."""
    arb = needed("flint", "exact").arb
    direction, offset = project(x, y, rng, merge)
    rounding = np.abs(x) @ np.abs(direction) + abs(offset) + 1
    direction, offset = exact(direction), arb(offset)
    line = ExactLine([exact(sample) @ direction + offset for sample in x], rounding)
    found = fold_to_classes(line, y, rng, merge, bonus, numbers)
    if found is None:
        return None
    gaps, quality = found.pop("gaps"), found.pop("quality")
    found = dict(found, direction=direction, offset=offset)
    weights = network_weights(**found, sqrt=lambda n: arb(n).sqrt())
    # The centers of the balls are the weights: `verify` takes them as they are.
    weights = [np.vectorize(_center, otypes=[object])(w) for w in weights]
    return ExactLNNet(weights, classes, bits, gaps, quality, merge)


def _center(ball):
    return ball.mid()
