"""Layers from the serialized form in which a swap keeps them."""

from typing import Any

import keras
from keras import saving

from lng_keras.swap import norms


def serialize(layer: keras.layers.Layer) -> dict[str, Any]:
    """The serialized form of a layer.

    Keras writes none of a layer without `get_config` that was given its dtype as an
    object, as KerasHub does with the norms of T5 and Gemma: their arguments are known.
    """
    try:
        return saving.serialize_keras_object(layer)
    except NotImplementedError:
        if not norms.is_normalization(layer) or not hasattr(layer, "epsilon"):
            raise
    cls = type(layer)
    config = {
        "name": layer.name,
        "trainable": layer.trainable,
        "dtype": saving.serialize_keras_object(layer.dtype_policy),
        "epsilon": layer.epsilon,
    }
    return {
        "module": cls.__module__,
        "class_name": cls.__name__,
        "config": config,
        "registered_name": saving.get_registered_name(cls),
    }


def make(serialized: dict[str, Any], old: keras.layers.Layer) -> keras.layers.Layer:
    """Makes the layer described by `serialized` under the name of `old`."""
    config = dict(serialized, config=dict(serialized["config"], name=old.name))
    return saving.deserialize_keras_object(unbuilt(config), safe_mode=False)


def unbuilt(config: dict[str, Any]) -> dict[str, Any]:
    """A serialized layer without what was built and compiled: shapes, optimizer."""
    return {k: v for k, v in config.items() if not k.endswith(("_config",))}
