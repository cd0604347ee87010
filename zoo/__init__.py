"""Models for train.py, each with its normalization as an argument.

model = zoo.build("resnet_na", norm="lng_position", depth=20)
model = zoo.load("resnet8_na_lng_position_cifar10")

`zoo.vit`, `zoo.cifar10_sample` and so on are functions, see functions.py.
"""

import importlib.util

# Imported at their first use: to read flags or records takes no Keras.
_NAMES = {
    **dict.fromkeys(("MODELS", "arguments", "build", "form"), "zoo.models.registry"),
    **dict.fromkeys(("load", "preset_path", "presets"), "zoo.runs.preset_store"),
}


def __getattr__(name):
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    # `from zoo import data` asks here first, and goes on to the module.
    if name.startswith("_") or importlib.util.find_spec(f"zoo.{name}"):
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    return importlib.import_module("zoo.functions").find(name)


def __dir__():
    return sorted([*globals(), *_NAMES])
