"""What a classifier ends in: whether its outputs are logits or probabilities."""

import keras

from lng_keras._base.private.graph import origin
from lng_keras.swap.walk import is_graph


def output_activation(model: keras.Model) -> str:
    """The name of the last function of a model: "softmax", "sigmoid", "linear", ...

    It may be an argument of the last layer or a layer or operation by itself, and be
    inside a nested model. Of a subclassed model, the layer made last is taken.
    """
    last = _last(model)
    function = getattr(last, "activation", last)
    return getattr(function, "__name__", type(function).__name__).lower()


def _last(layer):
    # Not `layers[-1]` of a graph, which has its layers in the order of their depth.
    if is_graph(layer) and not isinstance(layer, keras.Sequential):
        return _last(origin(layer.outputs[0]))
    if isinstance(layer, keras.Model) and layer.layers:
        return _last(layer.layers[-1])
    return layer
