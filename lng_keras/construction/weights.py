"""The weights of the network that folds a line as a plan says."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

WIDTH = 3
# Two orthogonal vectors of the plane sum = 0, where LN of three neurons lives.
_VECTORS = (1, -1, 0), (1, 1, -2)
_SQUARED_LENGTHS = 2, 6


def network_weights(
    direction: np.ndarray,
    offset: Any,
    folds: Sequence[Any],
    thresholds: np.ndarray,
    order: np.ndarray,
    sqrt: Callable[[int], Any] = np.sqrt,
) -> list[np.ndarray]:
    """The kernels and biases of the network, as `set_weights` takes them.

    Args:
        direction, offset, folds, thresholds, order: as in `Plan`. Floats and float
            arrays, or `flint.arb` and object arrays of them.
        sqrt: function of an int that returns a number of their type.
    Returns:
        list of arrays: kernel `(inputs, outputs)` and bias `(outputs,)` of each linear
        layer.
    """
    lengths = map(sqrt, _SQUARED_LENGTHS)
    plane = np.array(
        [[v / r for v in vector] for vector, r in zip(_VECTORS, lengths, strict=True)]
    )
    read = direction[:, None]  # s = h @ read + offset
    weights = []
    for fold in folds:
        # h = slope (s - shift) plane[0] + plane[1]; LN scales it to length sqrt(3).
        weights.append(read * plane[0] * fold.slope)
        weights.append(plane[0] * (fold.slope * (offset - fold.shift)) + plane[1])
        read = (fold.readout @ plane / sqrt(WIDTH))[:, None]
        offset = 0 * fold.slope
    # Lines of slope 0, 1, 2, ... that cross at the thresholds: the largest of them
    # counts the thresholds below s.
    kernel = np.empty((len(read), len(order)), read.dtype)
    bias = np.empty(len(order), read.dtype)
    below = 0 * offset
    for count, k in enumerate(order.tolist()):
        below = below + thresholds[count - 1] if count else below
        kernel[:, k] = read[:, 0] * count
        bias[k] = offset * count - below
    return [*weights, kernel, bias]
