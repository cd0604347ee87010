"""The costs of single layers of a model, each measured by itself."""

import inspect
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from lng_keras._base.private.graph import first_call
from lng_keras.adopt.cost import analysis
from lng_keras.adopt.cost.turns import latencies
from lng_keras.adopt.cost.weights import weight_bytes
from lng_keras.swap.api import find
from lng_keras.swap.norms import input_shape
from lng_keras.swap.walk import is_graph, text, walk


def layer_costs(
    model: keras.Model,
    which: str | None,
    batch_sizes: Sequence[int],
    repeats: int,
    compiled: bool | None,
) -> list[dict[str, Any]]:
    """Costs of single layers, each shape and configuration measured once.

    Args:
        which: "norms", "all" or None, as in `compare`.
    """
    if which is None:
        return []
    known: dict[tuple, dict[str, Any]] = {}
    rows = []
    for path, layer, shape in _layers(model, which):
        row = {
            "path": path,
            "class": type(layer).__name__,
            "parameters": layer.count_params(),
            "weight_bytes": weight_bytes(layer),
            "flops": None,
            "activation_bytes": None,
            "latency": [],
        }
        rows.append(row)
        if shape is None or None in shape[1:]:
            continue
        key = (type(layer), shape, _settings(layer))
        if key not in known:
            known[key] = _layer_cost(layer, shape, batch_sizes, repeats, compiled)
        row.update(known[key])
    return rows


def _layers(model, which):
    if which == "norms":
        for _, norm in find(model):
            yield norm.path, norm.layer, norm.shape
        return
    for steps, layer in walk(model, stop=lambda layer: not is_graph(layer)):
        if not is_graph(layer) and layer.built:
            shape = _only_input(layer) if layer.weights else None
            yield text(model, steps), layer, shape


def _only_input(layer):
    """The shape of the tensor a layer takes, or None if it is not known or not alone.

    It may need several, or be given them where the model calls it. Masks do not count.
    """
    shape = input_shape(layer) or ()
    needed = [
        p
        for p in inspect.signature(layer.call).parameters.values()
        if p.default is p.empty and p.kind is p.POSITIONAL_OR_KEYWORD
    ]
    call = first_call(layer)
    tensors = call.keras_tensors if call else ()
    given = [tensor for tensor in tensors if tensor.dtype != "bool"]
    flat = all(size is None or isinstance(size, int) for size in shape)
    return shape if shape and flat and max(len(needed), len(given)) < 2 else None


def _settings(layer):
    config = {k: v for k, v in layer.get_config().items() if k != "name"}
    return repr(sorted(config.items()))


def _layer_cost(layer, shape, batch_sizes, repeats, compiled):
    example = np.random.default_rng(0).normal(size=(1, *shape[1:])).astype("float32")
    result = analysis.analyze(layer, example)
    timed = latencies({"": layer}, example, batch_sizes, repeats, 0.2, compiled)
    return {
        "flops": result.flops,
        "activation_bytes": result.activation_bytes,
        "latency": timed[""],
    }
