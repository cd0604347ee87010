"""Exchanges layers inside a layer or functional model, in place.

This is the one file that touches what Keras keeps private: the list of a layer's
sublayers and the nodes of a functional graph.
"""

import contextlib
from typing import Any

import keras

from lng_keras.swap.serialized import make
from lng_keras.swap.walk import attributes, below, children, walk


def exchange(root: keras.layers.Layer) -> None:
    """Puts the layers of `root._swaps` in their places, as far as not done yet.

    Sublayers made in the constructor are exchanged before `root` is built, those
    made in `build` right after it.
    """
    memo = {}  # id of an old layer -> the new one
    done = set(root._exchanged)

    def descend(layer, swaps):
        for steps, child in list(children(layer)):
            inside = below(swaps, *steps)
            if not inside or id(child) in done:
                continue
            if () in inside:
                if id(child) not in memo:
                    memo[id(child)] = new = make(inside[()], child)
                    _build_like(new, child)
                    done.add(id(new))
            else:
                descend(child, inside)

    descend(root, root._swaps)
    if memo:
        _substitute(root, memo)
    object.__setattr__(root, "_exchanged", frozenset(done))


def _build_like(new, old):
    """Builds `new` for the shape `old` was built for, under the same path."""
    if not old.built:
        return
    *above, _ = (old.path or old.name).split("/")
    scope = contextlib.nullcontext()
    if above:
        scope = keras.name_scope(above[-1], override_parent="/".join(above[:-1]))
    with scope:
        new.build_from_config(old.get_build_config())


def _substitute(root, memo):
    """Replaces every reference at or below `root` to a layer that `memo` has."""
    holders = [root]
    holders += [layer for _, layer in walk(root) if id(layer) not in memo]
    # A sequential model runs a functional one of its own.
    inner = [getattr(layer, "_functional", None) for layer in holders]
    holders += [layer for layer in inner if layer is not None]
    for layer in holders:
        with _unlocked(layer._tracker):
            for name, value in list(attributes(layer)):
                new = _replaced(value, memo)
                if new is not value:
                    setattr(layer, name, new)
        if hasattr(layer, "_nodes_by_depth"):
            _substitute_operations(layer, memo)
        _retrack(layer, memo)
    if keras.config.backend() == "torch":
        # torch lists a module's parameters once, when it is built.
        for layer in root._flatten_layers():
            if layer.built:
                layer._track_variables()


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


def _retrack(layer, memo):
    """Puts new sublayers where the old ones were, so that weights keep their order."""
    tracker, store = layer._tracker, layer._tracker.config["layers"][1]
    for old in list(store):
        if id(old) not in memo:
            continue
        new = memo[id(old)]
        index = next(i for i, sublayer in enumerate(store) if sublayer is old)
        with _unlocked(tracker):
            tracker.untrack(old)
            tracker.untrack(new)  # an assignment above has put it last
        store.insert(index, new)
        tracker.stored_ids["layers"].add(id(new))
    if layer._layers is not store:  # a sequential model's own list
        _replaced(layer._layers, memo)


@contextlib.contextmanager
def _unlocked(tracker):
    locked = tracker.locked
    tracker.unlock()
    try:
        yield
    finally:
        tracker.locked = locked


def _substitute_operations(graph, memo):
    """Makes the nodes of a functional graph call the new layers."""
    for operations in (graph._operations, *graph._operations_by_depth.values()):
        operations[:] = [memo.get(id(op), op) for op in operations]
    for nodes in graph._nodes_by_depth.values():
        for node in nodes:
            old, new = node.operation, memo.get(id(node.operation))
            if new is None:
                continue
            new._inbound_nodes = old._inbound_nodes
            new._outbound_nodes = old._outbound_nodes
            for inbound in old._inbound_nodes:
                _redirect(inbound, new)


def _redirect(node, new):
    node.operation = new
    for tensor in node.output_tensors:
        tensor._keras_history = tensor._keras_history._replace(operation=new)
    if "mask" in node.arguments.kwargs and not takes_mask(new):
        kwargs = {k: v for k, v in node.arguments.kwargs.items() if k != "mask"}
        node.arguments = type(node.arguments)(*node.arguments.args, **kwargs)


def takes_mask(operation: Any) -> bool:
    """Whether `mask` may be passed to a layer or operation."""
    parameters = getattr(operation, "call_signature_parameters", ("mask",))
    return "mask" in parameters or "kwargs" in parameters
