"""Exchanges layers inside a layer or functional model, in place."""

from typing import Any

import keras

from lng_keras._base.private import graph, layers
from lng_keras.swap.serialized import make
from lng_keras.swap.walk import Steps, below, children, functional_class, walk


def exchange(root: keras.layers.Layer) -> None:
    """Puts the layers of `root._swaps` in their places, as far as not done yet.

    Sublayers made in the constructor are exchanged before `root` is built, those
    made in `build` right after it.
    """
    new = exchange_below(root, root._swaps, root._exchanged).values()
    done = root._exchanged | {id(layer) for layer in new}
    object.__setattr__(root, "_exchanged", done)


def exchange_below(
    root: keras.layers.Layer,
    swaps: dict[Steps, Any],
    done: frozenset[int] = frozenset(),
) -> dict[int, keras.layers.Layer]:
    """Puts the layers of `swaps` in their places below `root`.

    Args:
        done: ids of layers to leave, since they are in their places already.
    Returns:
        dict, id of a layer that was there -> the new one.
    """
    memo: dict[int, keras.layers.Layer] = {}
    left = set(done)

    def descend(layer, swaps):
        for steps, child in list(children(layer)):
            inside = below(swaps, *steps)
            if not inside or id(child) in left:
                continue
            if () in inside:
                if id(child) not in memo:
                    memo[id(child)] = new = make(inside[()], child)
                    build_like(new, child)
                    left.add(id(new))
            else:
                descend(child, inside)

    descend(root, swaps)
    if memo:
        _substitute(root, memo)
    return memo


def build_like(new: keras.layers.Layer, old: keras.layers.Layer) -> None:
    """Builds `new` for the shape `old` was built for, under the same path."""
    if new.built or not old.built:
        return
    with layers.scope(old, above=True):
        new.build_from_config(old.get_build_config())


def _substitute(root, memo):
    """Replaces every reference at or below `root` to a layer that `memo` has."""
    holders = [root]
    holders += [layer for _, layer in walk(root) if id(layer) not in memo]
    # A sequential model runs a functional one of its own.
    sequential = [layer for layer in holders if isinstance(layer, keras.Sequential)]
    holders += filter(None, map(layers.inner_graph, sequential))
    for layer in holders:
        with layers.unlocked(layer):
            for name, value in list(layers.attributes(layer)):
                new = _replaced(value, memo)
                if new is not value:
                    setattr(layer, name, new)
        if isinstance(layer, functional_class()):
            graph.call_others(layer, memo)
        layers.take_places(layer, memo)
    if keras.config.backend() == "torch":
        for layer in layers.flat(root):
            if layer.built:
                layers.list_parameters_again(layer)


def _replaced(value, memo):
    if isinstance(value, keras.layers.Layer):
        return memo.get(id(value), value)
    if isinstance(value, (list, dict)):
        # In place: whoever holds the same list sees the change too.
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in list(items):
            new = _replaced(item, memo)
            if new is not item:
                value[key] = new
        return value
    if isinstance(value, tuple):
        items = [_replaced(item, memo) for item in value]
        if all(a is b for a, b in zip(items, value, strict=True)):
            return value
        named = hasattr(value, "_fields")
        return type(value)(*items) if named else type(value)(items)
    return value
