"""Group-based Layer Normalization (LN-G) for Keras 3."""

import importlib
from typing import Any

from lng_keras.functional import group_layer_normalization as group_layer_normalization
from lng_keras.normalization import GroupLayerNormalization as GroupLayerNormalization
from lng_keras.normalization import (
    PositionalGroupLayerNormalization as PositionalGroupLayerNormalization,
)

# Not at its first use: it registers the class of swapped layers in saved models.
from lng_keras.swap import swap_normalization as swap_normalization
from lng_keras.version import __version__ as __version__

# Imported at their first use: whoever wants a layer does not wait for the tools.
_FUNCTIONS = dict.fromkeys(
    ("search_group_size", "search_normalization"), "lng_keras.adopt.search"
)
_MODULES = (
    *("construction", "cost", "distillation", "export", "measures", "report"),
    "search",
)


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        return getattr(importlib.import_module(_FUNCTIONS[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"lng_keras.{name}")
    raise AttributeError(f"module 'lng_keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *_FUNCTIONS, *_MODULES])
