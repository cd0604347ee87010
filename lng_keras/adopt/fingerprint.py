"""Short digests of models and data, by which finished work is found again."""

import hashlib
import json
import warnings
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np

from lng_keras._base.private.layers import flat


def of_model(model: keras.Model) -> str:
    """Digest of a model's configuration and weights."""
    weights = (keras.ops.convert_to_numpy(weight.value) for weight in model.weights)
    return _short(of_config(model), of_arrays(weights))


def of_config(model: keras.Model) -> str:
    """Digest of a model's configuration; the same for one built a second time."""
    config = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that a lambda is unsafe in a file
            config = _unnamed(keras.saving.serialize_keras_object(model))
    except Exception:  # a model that cannot be saved; a layer may raise anything
        pass
    classes = [type(layer).__name__ for layer in flat(model)]
    return _short(json.dumps([config, classes], default=str))


def of_arrays(arrays: Iterable[np.ndarray]) -> str:
    """Digest of arrays in their order."""
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(str((array.shape, array.dtype)).encode())
        digest.update(np.ravel(array).view("uint8").data)
    return digest.hexdigest()[:16]


def of_settings(settings: dict[str, Any]) -> str:
    """Digest of a dict: the same whatever the order of its keys."""
    return _short(json.dumps(settings, sort_keys=True, default=str))


def _short(*texts):
    return hashlib.sha256(" ".join(texts).encode()).hexdigest()[:16]


# Keras numbers the names of layers as they are made. Each training compiles anew. A
# model that builds itself when it is called notes the batch it was called on.
_IGNORED = ("name", "compile_config", "build_config")


def _unnamed(config, order=()):
    """A serialized object without names; a graph refers to its layers by number."""
    if isinstance(config, dict):
        if str(config.get("class_name")).endswith("DTypePolicy"):
            return config  # nothing but a name
        if "output_layers" in config:
            order = {layer["name"]: i for i, layer in enumerate(config["layers"])}
        return {k: _unnamed(v, order) for k, v in config.items() if k not in _IGNORED}
    if not isinstance(config, (list, tuple)):
        return config
    if len(config) == 3 and isinstance(config[0], str) and config[0] in order:
        return [order[config[0]], *config[1:]]  # a tensor: layer, call, output
    return [_unnamed(item, order) for item in config]
