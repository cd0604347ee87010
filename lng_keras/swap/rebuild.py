"""Rebuilds a layer or model with other layers at given places.

Keras' own functional and sequential models are cloned layer by layer, so their config
holds the new layers. Whatever makes its layers itself, from arguments (a subclassed
model, a layer of layers, a backbone), cannot be described that way: it is built from
its config as always, then some of its layers are exchanged in place. So that a saved
file knows of it, its class becomes a subclass that differs in nothing but its config,
which records the exchange and repeats it on loading. Whatever no config rebuilds is
copied without its constructor (copied.py).

A place is a tuple of steps (see walk.py), and a `swaps` dict maps places to the
serialized layers that belong there.
"""

import contextlib
import functools
from typing import Any

import keras
from keras import saving

from lng_keras._base.private import graph, layers
from lng_keras.swap.copied import without_constructor
from lng_keras.swap.exchange import exchange, exchange_below
from lng_keras.swap.serialized import make, unbuilt
from lng_keras.swap.transfer import rename
from lng_keras.swap.walk import Steps, below, functional_class


def rebuild(
    layer: Any, swaps: dict[Steps, Any], memo: dict[int, Any], constructors: bool = True
) -> Any:
    """Returns a new copy of `layer` with `swaps` in place.

    Args:
        layer: a layer, model or operation. It is not changed.
        swaps: dict from places inside `layer` to serialized layers; the place `()`
            is `layer` itself.
        memo: dict, id of each layer rebuilt so far -> its copy; shared layers stay
            shared.
        constructors: bool, call those of classes that are not Keras' own, where
            their config says how.

    Raises:
        TypeError: if a layer can neither be rebuilt nor copied.
    """
    if id(layer) not in memo:
        memo[id(layer)] = _rebuild(layer, swaps, memo, constructors)
    return memo[id(layer)]


def _rebuild(layer, swaps, memo, constructors):
    if () in swaps:
        return make(swaps[()], layer)
    if is_plain(layer):
        return _clone(layer, swaps, memo, constructors)
    if not isinstance(layer, keras.layers.Layer):  # an operation
        return _from_config(layer, swaps)
    if constructors or type(layer).__module__.split(".")[0] == "keras":
        try:
            new = _from_config(layer, swaps)
        except Exception:  # a constructor of the user's may raise anything
            pass
        else:
            rename(layer, new)
            return new
    return without_constructor(
        layer, swaps, memo, functools.partial(rebuild, constructors=constructors)
    )


def _from_config(layer, swaps):
    if swaps or is_swapped(layer):
        return swapped_copy(layer, swaps)
    config = saving.serialize_keras_object(layer)
    # Lambda layers come from the model in memory, not from a file.
    return saving.deserialize_keras_object(unbuilt(config), safe_mode=False)


def _clone(model, swaps, memo, constructors):
    index = {id(child): i for i, child in enumerate(model.layers)}

    def clone(child):
        inside = below(swaps, ("layer", index.get(id(child))))
        return rebuild(child, inside, memo, constructors)

    sequential = isinstance(model, keras.Sequential)
    return keras.models.clone_model(
        model, clone_function=clone, call_function=None if sequential else _call
    )


def _call(layer, *args, **kwargs):
    # BatchNormalization takes a mask, to keep padding out of the batch's statistics.
    # The others have none to keep it out of.
    if not graph.takes_mask(layer):
        kwargs.pop("mask", None)
    return layer(*args, **kwargs)


def exchange_in_place(
    model: keras.layers.Layer, swaps: dict[Steps, Any]
) -> dict[int, keras.layers.Layer]:
    """Puts `swaps` in their places in `model` itself.

    Returns:
        dict, id of a layer that was there -> the new one.
    """
    memo = exchange_below(model, swaps)
    new = frozenset(id(layer) for layer in memo.values())

    def record(layer, swaps):
        """Makes the config of what makes its layers itself record the exchange."""
        if not swaps or () in swaps:
            return
        if is_plain(layer):
            for i, child in enumerate(layer.layers):
                record(child, below(swaps, ("layer", i)))
            return
        if not is_swapped(layer):
            cls = _swapped_class(type(layer))
            object.__setattr__(layer, "__class__", cls)
            object.__setattr__(layer, "_swaps", {})
            object.__setattr__(layer, "_exchanged", frozenset())
        object.__setattr__(layer, "_swaps", {**layer._swaps, **swaps})
        object.__setattr__(layer, "_exchanged", layer._exchanged | new)

    record(model, swaps)
    return memo


def is_plain(model: keras.layers.Layer) -> bool:
    """Whether a model is of Keras' own functional or sequential class."""
    return type(model) in (functional_class(), keras.Sequential)


def swapped_copy(
    layer: keras.layers.Layer, swaps: dict[Steps, Any]
) -> keras.layers.Layer:
    """A copy of a layer that makes its layers itself, with `swaps` in place."""
    if is_swapped(layer):
        swaps = {**layer._swaps, **swaps}
    with _as_original(layer):
        original = type(layer)
        config = saving.serialize_keras_object(layer)["config"]
    return _swapped(original, config, swaps)


def is_swapped(layer: Any) -> bool:
    """Whether the class of `layer` records an exchange."""
    return hasattr(type(layer), "_original") and hasattr(layer, "_swaps")


@contextlib.contextmanager
def _as_original(layer):
    """Lets `layer` be of its original class for a while.

    Keras collects the constructor's arguments only for classes that do not define
    `get_config` themselves.
    """
    cls = type(layer)
    object.__setattr__(layer, "__class__", getattr(cls, "_original", cls))
    try:
        yield
    finally:
        object.__setattr__(layer, "__class__", cls)


def _swapped(original, config, swaps):
    cls = _swapped_class(original)
    layer = original.from_config.__func__(cls, config)
    if type(layer) is not cls:
        raise ValueError(
            f"{original.__name__}.from_config must return an instance of its class. "
            f"Received: {type(layer).__name__}"
        )
    object.__setattr__(layer, "_swaps", swaps)
    object.__setattr__(layer, "_exchanged", frozenset())
    exchange(layer)
    return layer


def _swapped_class(original):
    """The subclass of `original` that records an exchange in its config."""

    def build(self, *args, **kwargs):
        original.build(self, *args, **kwargs)
        if hasattr(self, "_swaps"):  # else built by its constructor
            exchange(self)

    layers.build_as(build, original.build)
    # The signature tells Keras which shapes to pass.
    build.__wrapped__ = original.build

    def build_from_config(self, config):
        original.build_from_config(self, config)
        exchange(self)

    def get_config(self):
        with _as_original(self):
            layer = unbuilt(saving.serialize_keras_object(self))
        swaps = [[list(place), new] for place, new in self._swaps.items()]
        return {"name": self.name, "layer": layer, "swaps": swaps}

    cls = type(original)(
        original.__name__,
        (original,),
        {
            "__module__": original.__module__,
            "_original": original,
            "build": build,
            "build_from_config": build_from_config,
            "get_config": get_config,
            "from_config": classmethod(lambda cls, config: Swapped.from_config(config)),
        },
    )
    register = saving.register_keras_serializable(package="lng_keras", name="Swapped")
    register(cls)
    register(Swapped)  # the one that loading finds
    return cls


@saving.register_keras_serializable(package="lng_keras", name="Swapped")
class Swapped:
    """What a file finds under "lng_keras>Swapped": makes the classes above."""

    def get_config(self):
        raise NotImplementedError("This class is never instantiated.")

    @classmethod
    def from_config(cls, config):
        layer = config["layer"]
        original = saving.get_registered_object(layer["registered_name"] or "")
        if original is None:  # a class of Keras, or one that the caller passes
            original = type(saving.deserialize_keras_object(layer))
        swaps = {
            tuple(tuple(step) for step in place): new for place, new in config["swaps"]
        }
        return _swapped(original, layer["config"], swaps)
