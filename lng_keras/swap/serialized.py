"""Layers from the serialized form in which a swap keeps them."""

from keras import saving


def make(serialized, old):
    """Makes the layer described by `serialized` under the name of `old`."""
    config = dict(serialized, config=dict(serialized["config"], name=old.name))
    return saving.deserialize_keras_object(unbuilt(config), safe_mode=False)


def unbuilt(config):
    """A serialized layer without what was built and compiled: shapes, optimizer."""
    return {k: v for k, v in config.items() if not k.endswith(("_config",))}
