"""Copies a layer without calling its constructor.

For layers that no config rebuilds: their author wrote no `get_config`, or takes
arguments that say too little. The copy is an empty object of the class, given copies of
all that the author has set on it: layers, weights, random states, lists and dicts of
them, and whatever else Python can copy.
"""

import collections
import copy
import functools
import types
from collections.abc import Callable
from typing import Any

import keras

from lng_keras._base.private import graph, layers
from lng_keras.swap.exchange import build_like
from lng_keras.swap.walk import Steps, below, children, functional_class

# A function (layer, swaps, memo) -> its copy, see rebuild.py.
Rebuild = Callable[[Any, dict[Steps, Any], dict[int, Any]], Any]


def without_constructor(
    layer: keras.layers.Layer,
    swaps: dict[Steps, Any],
    memo: dict[int, Any],
    rebuild: Rebuild,
) -> keras.layers.Layer:
    """Returns a copy of a layer that makes its layers itself, with `swaps` in place.

    Args:
        layer: a layer or model, not of Keras' functional or sequential class itself.
        swaps: dict from places inside `layer` to serialized layers.
        memo: dict, id of each layer copied so far -> its copy; it grows.
        rebuild: copies the layers inside.

    Raises:
        TypeError: if an attribute cannot be copied, named in the message.
    """
    original: Any = getattr(type(layer), "_original", type(layer))
    cls = _unsaveable(original) if swaps else original
    new = memo[id(layer)] = cls.__new__(cls)
    _begin(layer, new, swaps, memo, rebuild)
    for steps, child in children(layer):
        if id(child) not in memo:
            with layers.scope(child, above=True):
                memo[id(child)] = inside = rebuild(child, below(swaps, *steps), memo)
            build_like(inside, child)
    with layers.scope(layer):
        for variable, trainable in layers.variables(layer):
            memo[id(variable)] = _variable(variable, trainable)
    for generator in layers.seed_generators(layer):
        again = type(generator).from_config(generator.get_config())
        memo[id(generator)] = again
        again.state.assign(keras.ops.copy(generator.state.value))
    for name, value in list(layers.set_by_author(layer)):
        try:
            setattr(new, name, _copied(value, memo))
        except Exception as error:
            raise TypeError(
                f"the attribute {name!r} of {original.__name__} {layer.name!r} cannot "
                f"be copied ({' '.join(str(error).split())[:120]})"
            ) from error
    layers.finish_copy(layer, new, memo)
    return new


def _begin(layer, new, swaps, memo, rebuild):
    """Does for `new` what the constructors of Keras' own classes do."""
    about = dict(name=layer.name, dtype=layer.dtype_policy)
    if isinstance(layer, keras.Sequential):
        made = []
        for i, child in enumerate(layer.layers):
            memo[id(child)] = rebuild(child, below(swaps, ("layer", i)), memo)
            made.append(memo[id(child)])
        keras.Sequential.__init__(new, made, name=layer.name)
        build_like(new, layer)
    elif isinstance(layer, functional_class()):
        view = functional_class()(*graph.ends(layer))
        ends = graph.ends(rebuild(view, swaps, memo))
        functional_class().__init__(new, *ends, name=layer.name)
    elif isinstance(layer, keras.Model):
        keras.Model.__init__(new, **about)
    else:
        keras.layers.Layer.__init__(new, **about)


def _variable(variable, trainable):
    return keras.Variable(
        keras.ops.copy(variable.value),
        dtype=variable.dtype,
        trainable=trainable,
        name=variable.name,
    )


def _copied(value, memo):
    """A copy of an attribute's value, its layers and weights those of `memo`."""
    if id(value) in memo:
        return memo[id(value)]
    if isinstance(value, tuple):
        items = [_copied(item, memo) for item in value]
        return type(value)(*items) if hasattr(value, "_fields") else tuple(items)
    if isinstance(value, list):
        return [_copied(item, memo) for item in value]
    if isinstance(value, dict):
        kind = collections.OrderedDict if _is_ordered(value) else dict
        return kind((key, _copied(item, memo)) for key, item in value.items())
    if isinstance(value, set):
        return {_copied(item, memo) for item in value}
    if isinstance(value, functools.partial):
        arguments = [_copied(item, memo) for item in (value.func, *value.args)]
        return functools.partial(*arguments, **_copied(dict(value.keywords), memo))
    if isinstance(value, types.MethodType):
        return types.MethodType(value.__func__, _copied(value.__self__, memo))
    if isinstance(value, types.FunctionType):
        for cell in value.__closure__ or ():
            if id(cell.cell_contents) in memo:
                raise TypeError("a function that keeps hold of a layer")
        return value
    if isinstance(value, (types.ModuleType, type, keras.KerasTensor)):
        return value
    if isinstance(value, keras.metrics.Metric):
        return type(value).from_config(value.get_config())
    return copy.deepcopy(value, memo)


def _is_ordered(value):
    return isinstance(value, collections.OrderedDict)


def _unsaveable(original):
    """The subclass of `original` that says why no file can hold it."""

    def get_config(self):
        raise NotImplementedError(
            f"{original.__name__} {self.name!r} has other normalizations than its "
            "constructor makes, and no config that rebuilds it: save_weights and "
            "load_weights work, or write its get_config() and swap again"
        )

    return type(original)(
        original.__name__,
        (original,),
        {
            "__module__": original.__module__,
            "_original": original,
            "get_config": get_config,
        },
    )
