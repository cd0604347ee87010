"""Packages that only some functions need, imported where they are used."""

import importlib
from typing import Any


def needed(module: str, extra: str) -> Any:
    """Imports `module`, or says in one line how to install it.

    Args:
        module: str, such as "matplotlib.figure".
        extra: str, the extra of lng-keras that brings it.

    Raises:
        ImportError: if it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = module.split(".")[0]
        raise ImportError(
            f"This needs {package}: pip install 'lng-keras[{extra}]' ({error})"
        ) from error
