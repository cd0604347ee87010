"""A proof that a network classifies its samples, in arithmetic that knows its error."""

import typing

import numpy as np


class Verification(typing.NamedTuple):
    """`right`, `wrong` and `undecided` samples; `margin`, the smallest distance between
    the logit of a right sample's label and the next, a lower bound; `bits` of mantissa.
    """

    right: int
    wrong: int
    undecided: int
    margin: float
    bits: int


def verify(model, x, labels, bits=None):
    """Evaluates an `LNNetClassifier` in ball arithmetic and compares its outputs.

    The weights are taken as the exact numbers that they are. Each operation returns a
    ball that contains the true result, so a sample counted as right is proved to be
    classified as its label by the network in exact arithmetic. Rounding in a dtype is
    another question: see `Plan.holds`.

    Args:
        model: `LNNetClassifier`.
        x: array `(m, ...)` and labels: array `(m,)`.
        bits: int, bits of the mantissa; more decide what is undecided. None: 128 and
            16 for each layer, since the balls widen from layer to layer.
    Returns:
        `Verification`.
    Raises:
        ImportError: without python-flint, the extra "exact".
    """
    from flint import arb, ctx

    if bits is None:
        bits = 128 + 16 * model.depth
    before, ctx.prec = ctx.prec, bits
    try:
        weights = [_exact(w, arb) for w in model.get_weights()]
        epsilon = [arb(layer.epsilon) for layer in model.layers if _is_norm(layer)]
        index = {label: k for k, label in enumerate(model.classes)}
        right = wrong = 0
        margins = []
        x = np.asarray(x, np.float64).reshape(len(x), -1)
        for sample, label in zip(x, np.asarray(labels).tolist(), strict=True):
            values = [arb(float(v)) for v in sample]
            for layer, e in enumerate(epsilon):
                values = _dense(values, *weights[2 * layer : 2 * layer + 2])
                values = _normalize(values, e)
            logits = _dense(values, *weights[-2:])
            own = logits.pop(index[label])
            margin = min((own - other for other in logits), key=lambda d: d.lower())
            if margin > 0:
                right += 1
                margins.append(float(margin.lower()))
            elif any(own < other for other in logits):
                wrong += 1
    finally:
        ctx.prec = before
    margin = min(margins, default=float("nan"))
    return Verification(right, wrong, len(x) - right - wrong, margin, bits)


def _exact(array, arb):
    return [[arb(float(v)) for v in row] for row in np.atleast_2d(array)]


def _dense(values, kernel, bias):
    columns = zip(*kernel, bias[0], strict=True)
    return [
        sum((v * w for v, w in zip(values, column[:-1], strict=True)), column[-1])
        for column in columns
    ]


def _normalize(values, epsilon):
    n = len(values)
    mean = sum(values) / n
    centered = [v - mean for v in values]
    variance = sum(c * c for c in centered) / n
    return [c / (variance + epsilon).sqrt() for c in centered]


def _is_norm(layer):
    return hasattr(layer, "epsilon")
