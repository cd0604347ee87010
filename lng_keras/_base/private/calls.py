"""What a model calls, and in which order: recorded on tensors that hold no numbers."""

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras


@dataclasses.dataclass(frozen=True, eq=False)  # tensors have no equality
class Call:
    """One call of a layer or operation.

    Attributes:
        operation: the layer or operation.
        inputs, outputs: lists of `keras.KerasTensor`. Weights are not among them.
        error: Exception or None, why nothing is known of what happens inside.
    """

    operation: Any
    inputs: list[Any]
    outputs: list[Any]
    error: Exception | None = None


def recorded(
    layer: keras.layers.Layer, *args: Any, is_leaf: Callable[[Any], bool], **kwargs: Any
) -> tuple[list[Call], list[Any]]:
    """Calls a built layer on `keras.KerasTensor`s and records what it calls.

    Keras' own way of calling leaves nodes of a graph in every layer called, which
    would be saved with the model. So its two entrances, `Layer.__call__` and
    `Operation.symbolic_call`, are replaced meanwhile; neither is a private name.

    Args:
        is_leaf: function of a layer, whether not to look inside.

    Returns:
        `(calls, outputs)`: the calls in their order, and the tensors that come out.
    """
    calls: list[Call] = []

    def call(layer, *args, **kwargs):
        inputs = _symbolic((args, kwargs))
        if not inputs:
            return original(layer, *args, **kwargs)
        count, failed = len(calls), None
        if not is_leaf(layer):
            try:
                return layer.call(*args, **kwargs)
            except Exception as error:  # its author's code may raise anything
                del calls[count:]
                failed = error
        outputs = layer.compute_output_spec(*args, **kwargs)
        calls.append(Call(layer, inputs, _symbolic(outputs), failed))
        return outputs

    def operate(operation, *args, **kwargs):
        outputs = operation.compute_output_spec(*args, **kwargs)
        calls.append(Call(operation, _symbolic((args, kwargs)), _symbolic(outputs)))
        return outputs

    original = keras.layers.Layer.__call__
    with _replaced(keras.layers.Layer, "__call__", call):
        with _replaced(keras.Operation, "symbolic_call", operate):
            outputs = layer.call(*args, **kwargs)
    return calls, _symbolic(outputs)


def _symbolic(values):
    flat = keras.tree.flatten(values)
    return [value for value in flat if isinstance(value, keras.KerasTensor)]


@contextlib.contextmanager
def _replaced(owner: type, name: str, new: Callable[..., Any]) -> Iterator[None]:
    old = getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)
