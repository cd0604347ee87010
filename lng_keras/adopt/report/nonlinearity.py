"""How much more nonlinear LN-G would be than LN where a model has normalizations."""

from typing import Any

import keras
import numpy as np

from lng_keras.adopt.report.tables import size_used
from lng_keras.swap import find_normalizations
from lng_keras.swap.walk import is_graph

Points = list[list[Any]]  # of each normalization its path and the median ratio


def profile(
    model: keras.Model, images: np.ndarray, swaps: dict[str, dict[str, Any]]
) -> dict[str, Points] | None:
    """H(LN-G)/H(LN) at the inputs of each normalization of a functional model.

    Args:
        images: examples as the model takes them.
        swaps: dict, name of a candidate -> `SwapReport.to_dict()`.

    Returns:
        dict, name -> points, or None where nothing can be measured.
    """
    try:
        from lng_keras.measures.hessian import normalization_nonlinearity
    except ImportError:
        return None
    norms = [n for _, n in find_normalizations(model) if n.shape]
    norms = [n for n in norms if n.axes[-1] == len(n.shape) - 1 and n.channels >= 3]
    if not is_graph(model) or not norms:
        return None
    try:
        tensors = [n.layer.input for n in norms]
        values = keras.Model(model.inputs, tensors).predict(images, verbose=0)
    except (AttributeError, ValueError):
        return None  # normalizations inside other layers have no symbolic input
    values = values if isinstance(values, list) else [values]
    lines = {}
    rng = np.random.default_rng(0)
    for name, swap in swaps.items():
        used = {row["path"]: size_used(row) for row in swap["rows"]}
        points = []
        for norm, value in zip(norms, values, strict=True):
            if (used[norm.path] or 1) == 1:
                continue  # kept, or one channel a group, which has no measure
            rows = value.reshape(-1, norm.channels)
            rows = rows[rng.permutation(len(rows))[:512]]
            epsilon = norm.layer.epsilon
            groups = norm.channels // used[norm.path]
            grouped = normalization_nonlinearity(rows, groups, epsilon)
            plain = normalization_nonlinearity(rows, 1, epsilon)
            ratio = grouped[plain > 0] / plain[plain > 0]
            if ratio.size:
                points.append([norm.path, float(np.median(ratio))])
        if points:
            lines[name] = points
    return lines or None
