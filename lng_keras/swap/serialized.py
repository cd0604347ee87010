"""Layers from the serialized form in which a swap keeps them."""

from typing import Any

import keras
from keras import saving


def make(serialized: dict[str, Any], old: keras.layers.Layer) -> keras.layers.Layer:
    """Makes the layer described by `serialized` under the name of `old`."""
    config = dict(serialized, config=dict(serialized["config"], name=old.name))
    return saving.deserialize_keras_object(unbuilt(config), safe_mode=False)


def unbuilt(config: dict[str, Any]) -> dict[str, Any]:
    """A serialized layer without what was built and compiled: shapes, optimizer."""
    return {k: v for k, v in config.items() if not k.endswith(("_config",))}
