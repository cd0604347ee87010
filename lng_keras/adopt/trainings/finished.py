"""Keeps finished work in a folder, so that the same command goes on from it."""

import json
import os
import tempfile
from collections.abc import Callable
from typing import Any

from lng_keras._base import files
from lng_keras._base.errors import UsageError
from lng_keras.adopt import fingerprint


def writable(output: str | None) -> str | None:
    """Makes the output folder and returns it; refuses one that cannot be written."""
    if output is None:
        return None
    try:
        os.makedirs(output, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=output):
            pass
    except OSError as error:
        raise UsageError(
            f"Cannot write to the output folder {output}: {error.strerror}"
        ) from error
    return output


def cached(
    folder: str, name: str, settings: dict[str, Any], work: Callable[[], Any]
) -> tuple[Any, bool]:
    """The result of `work()` as plain data, from `folder` if it is there.

    Returns:
        `(result, reused)`.
    """
    path = os.path.join(folder, f"{name}-{fingerprint.of_settings(settings)}.json")
    try:
        with open(path, encoding="utf-8") as file:
            return json.load(file), True
    except (OSError, ValueError):
        pass
    result = work()
    os.makedirs(folder, exist_ok=True)
    files.write(path, json.dumps(result))
    return result, False
