"""A proof that a network classifies its samples, in arithmetic that knows its error."""

import contextlib
import typing
from collections.abc import Iterator
from typing import Any

import numpy as np

from lng_keras._base.extras import needed

_FEWEST_BITS = 128


class Verification(typing.NamedTuple):
    """`right`, `wrong` and `undecided` samples; `margin`, the smallest distance between
    the logit of a right sample's label and the next, a lower bound; `bits` of mantissa.
    """

    right: int
    wrong: int
    undecided: int
    margin: float
    bits: int


def verify(model: Any, x: Any, labels: Any, bits: int | None = None) -> Verification:
    """Evaluates a network in ball arithmetic and compares its outputs with labels.

    The weights are taken as the exact numbers that they are. Each operation returns a
    ball that contains the true result, so a sample counted as right is proved to be
    classified as its label by the network in exact arithmetic. Rounding in a dtype is
    another question: see `Plan.holds`.

    Args:
        model: `LNNetClassifier` or `ExactLNNet`.
        x: array `(m, ...)` and labels: array `(m,)`.
        bits: int, bits of the mantissa; more decide what is undecided. None: from 128
            on, doubled for the samples that are undecided, up to 64 for each layer.
    Returns:
        `Verification`.
    Raises:
        ImportError: without python-flint, the extra "exact".
    """
    winners, margins, bits = decide(model, x, bits)
    known = list(model.classes)
    labels = np.asarray(labels).tolist()
    decided = [
        (known[w] == label, margin)
        for w, margin, label in zip(winners, margins, labels, strict=True)
        if w is not None
    ]
    right = int(sum(is_right for is_right, _ in decided))
    return Verification(
        right=right,
        wrong=len(decided) - right,
        undecided=len(labels) - len(decided),
        margin=min((m for is_right, m in decided if is_right), default=float("nan")),
        bits=bits,
    )


def decide(
    model: Any, x: Any, bits: int | None = None
) -> tuple[list[int | None], list[float], int]:
    """Finds the largest logit of each sample.

    Args:
        model, x, bits: as in `verify`.
    Returns:
        lists over samples: the index of the largest logit, or None where no logit is
        proved to be the largest, and by how much it is, a lower bound; and the bits.
    """
    x = np.asarray(x, np.float64).reshape(len(x), -1)
    winners: list[int | None] = [None] * len(x)
    margins = [float("nan")] * len(x)
    depth = model.depth
    most = bits or max(64 * depth, 8 * _FEWEST_BITS)
    bits = bits or _FEWEST_BITS
    while True:
        with precision(bits):
            weights, epsilons = _layers(model)
            for k, sample in enumerate(x):
                if winners[k] is None:
                    winners[k], margins[k] = _largest(
                        _logits(weights, epsilons, sample)
                    )
        if None not in winners or bits >= most:
            return winners, margins, bits
        bits = min(2 * bits, most)


@contextlib.contextmanager
def precision(bits: int) -> Iterator[None]:
    """Ball arithmetic with this many bits of mantissa, inside the block."""
    ctx = needed("flint", "exact").ctx
    before, ctx.prec = ctx.prec, bits
    try:
        yield
    finally:
        ctx.prec = before


def exact(array: Any) -> np.ndarray:
    """Numbers of a dtype, or balls, as an object array of balls."""
    arb = needed("flint", "exact").arb
    array = np.asarray(array)
    if array.dtype == object:
        return array
    balls = np.empty(array.shape, object)
    balls[...] = np.vectorize(lambda v: arb(float(v)), otypes=[object])(array)
    return balls


def _layers(model):
    """`(weights, epsilons)` of a network, as balls."""
    arb = needed("flint", "exact").arb
    if hasattr(model, "get_weights"):
        norms = [layer for layer in model.layers if hasattr(layer, "epsilon")]
        return [exact(w).tolist() for w in model.get_weights()], [
            arb(layer.epsilon) for layer in norms
        ]
    return [w.tolist() for w in model.weights], [arb(0)] * model.depth


def _logits(weights, epsilons, sample):
    values = exact(sample).tolist()
    for layer, epsilon in enumerate(epsilons):
        values = _dense(values, *weights[2 * layer : 2 * layer + 2])
        values = _normalize(values, epsilon)
    return _dense(values, *weights[-2:])


def _dense(values, kernel, bias):
    return [
        sum((v * w for v, w in zip(values, column, strict=True)), b)
        for column, b in zip(zip(*kernel, strict=True), bias, strict=True)
    ]


def _normalize(values, epsilon):
    n = len(values)
    mean = sum(values) / n
    centered = [v - mean for v in values]
    variance = sum(c * c for c in centered) / n
    scale = (variance + epsilon).rsqrt()
    return [c * scale for c in centered]


def _largest(logits):
    """Index of the largest ball and its distance to the others, or None if unknown."""
    k = max(range(len(logits)), key=lambda i: logits[i].mid())
    margin = min(
        ((logits[k] - other).lower() for i, other in enumerate(logits) if i != k),
        key=float,
    )
    # Comparisons with what a ball that is too wide has become are False.
    return (k, float(margin)) if margin > 0 else (None, float("nan"))
