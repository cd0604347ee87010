"""Writes files whole or not at all."""

import os
import pathlib

# What a killed process may leave half-written ends so.
TEMPORARY = ".tmp"


def write(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes text or bytes so that `path` holds either the old content or the new.

    Args:
        path: of the file; its folder exists.
        content: str, written as UTF-8, or bytes.
    Raises:
        OSError: if the disk is full or read-only. The old content is intact.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(path.name + TEMPORARY)
    content = content.encode() if isinstance(content, str) else content
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
