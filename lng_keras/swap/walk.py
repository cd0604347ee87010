"""Where the layers of a model are, as steps from the model down to each of them.

A step is `("layer", index)` inside a functional or sequential model, and
`("attr", name)` or `("item", index or key)` inside a layer that holds others as
attributes, in lists or in dicts. Steps are plain JSON, so that a swap can be saved,
and hold no layer names: those that Keras makes up differ from one copy to the next.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import keras

from lng_keras._base.private.layers import attributes

Steps = tuple[tuple[str, Any], ...]


def is_graph(layer: Any) -> bool:
    """Whether `layer` is a functional or sequential model, subclasses included."""
    return isinstance(layer, (functional_class(), keras.Sequential))


@functools.cache
def functional_class() -> type:
    """The class of functional models, which Keras makes but does not export."""
    x = keras.Input((1,), name="x")
    return type(keras.Model(x, x, name="x"))


def children(layer: keras.layers.Layer) -> Iterator[tuple[Steps, keras.layers.Layer]]:
    """Yields `(steps, child)` for the layers directly held by `layer`."""
    if is_graph(layer):
        for i, child in enumerate(layer.layers):
            yield (("layer", i),), child
        return
    for name, value in attributes(layer):
        yield from _held((("attr", name),), value)


def _held(steps, value):
    if isinstance(value, keras.layers.Layer):
        yield steps, value
    elif isinstance(value, (list, tuple)):
        for i, item in enumerate(value):
            yield from _held((*steps, ("item", i)), item)
    elif isinstance(value, dict):
        for key, item in value.items():
            if isinstance(key, (str, int)):
                yield from _held((*steps, ("item", key)), item)


def walk(
    root: keras.layers.Layer,
    stop: Callable[[keras.layers.Layer], bool] = lambda layer: False,
) -> Iterator[tuple[Steps, keras.layers.Layer]]:
    """Yields `(steps, layer)` for each layer below `root`, each layer once.

    It does not look inside layers for which `stop(layer)` is true.
    """
    seen = {id(root)}

    def below(steps, layer):
        for more, child in children(layer):
            if id(child) in seen:
                continue
            seen.add(id(child))
            yield steps + more, child
            if not stop(child):
                yield from below(steps + more, child)

    return below((), root)


def below(swaps: dict[Steps, Any], *steps: tuple[str, Any]) -> dict[Steps, Any]:
    """The swaps inside the place `steps`."""
    n = len(steps)
    return {place[n:]: new for place, new in swaps.items() if place[:n] == steps}


def text(model: keras.layers.Layer, steps: Steps) -> str:
    """Writes steps as a path, such as "encoder/blocks[0].norm"."""
    path, here = "", model
    for kind, value in steps:
        if kind == "item":
            here, path = here[value], f"{path}[{value!r}]"
        elif kind == "attr":
            here, path = getattr(here, value), f"{path}.{value}" if path else value
        else:
            here = here.layers[value]
            path = f"{path}/{here.name}" if path else here.name
    return path
