"""Group-based Layer Normalization (LN-G) for Keras 3."""

import importlib
import os
import sys
from typing import TYPE_CHECKING, Any

from lng_keras._base.quiet import notes_dropped
from lng_keras.version import __version__ as __version__


def _is_command():
    """Whether this is `lng-keras` or `python -m lng_keras`.

    They answer `--help` and mistakes before Keras is imported, which takes seconds.
    """
    name = os.path.basename(sys.argv[0]) if sys.argv else ""
    if name == "-m":  # as long as Python looks for the module that it is to run
        return "lng_keras" in sys.orig_argv
    return name in ("lng-keras", "lng-keras.exe")


if TYPE_CHECKING or not _is_command():
    with notes_dropped():
        from lng_keras.functional import (
            group_layer_normalization as group_layer_normalization,
        )
        from lng_keras.normalization import (
            GroupLayerNormalization as GroupLayerNormalization,
        )
        from lng_keras.normalization import (
            PositionalGroupLayerNormalization as PositionalGroupLayerNormalization,
        )

        # Not at its first use: it registers the class of swapped layers in files.
        from lng_keras.swap import swap_normalization as swap_normalization

# Imported at their first use: whoever wants a layer does not wait for the tools.
_NAMES = {
    "search_group_size": "lng_keras.adopt.search",
    "search_normalization": "lng_keras.adopt.search",
    # In a command these too.
    "group_layer_normalization": "lng_keras.functional",
    "GroupLayerNormalization": "lng_keras.normalization",
    "PositionalGroupLayerNormalization": "lng_keras.normalization",
    "swap_normalization": "lng_keras.swap",
}
_MODULES = (
    *("construction", "cost", "distillation", "export", "measures", "report"),
    "search",
)


def __getattr__(name: str) -> Any:
    if name in _NAMES:
        return getattr(importlib.import_module(_NAMES[name]), name)
    if name in _MODULES:
        return importlib.import_module(f"lng_keras.{name}")
    raise AttributeError(f"module 'lng_keras' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_NAMES, *_MODULES})
