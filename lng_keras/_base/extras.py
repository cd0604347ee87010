"""Packages that only some functions need, imported where they are used."""

import importlib
import pathlib
from typing import Any

_ROOT = pathlib.Path(__file__).resolve().parents[2]


def install(extra: str) -> str:
    """The command that installs an extra, or several with commas between.

    From a clone of the repository, since no index has the package: from this one by its
    path, whatever folder one is in.
    """
    if not (_ROOT / "pyproject.toml").is_file():  # installed from a clone elsewhere
        return f"pip install '.[{extra}]' in a clone of its repository"
    clone = "." if pathlib.Path.cwd() == _ROOT else _ROOT
    return f"pip install '{clone}[{extra}]'"


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
            f"This needs {package}: {install(extra)} ({error})"
        ) from error
