"""Models for train.py, each with its normalization as an argument.

model = zoo.build("resnet_na", norm="lng_position", depth=20)
model = zoo.load("resnet8_na_lng_position_cifar10")
"""

import importlib

# Imported at their first use: to read flags or records takes no Keras.
_NAMES = {
    **dict.fromkeys(("MODELS", "arguments", "build", "form"), "zoo.models.registry"),
    **dict.fromkeys(("load", "preset_path", "presets"), "zoo.runs.preset_store"),
}


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    raise AttributeError(f"module 'zoo' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_NAMES])
