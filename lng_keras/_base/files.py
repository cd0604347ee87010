"""Writes files whole or not at all."""

import contextlib
import os
import pathlib
from collections.abc import Iterator

# What a killed process may leave half-written ends so.
TEMPORARY = ".tmp"


@contextlib.contextmanager
def replaced(path: str | os.PathLike[str], ending: str = "") -> Iterator[pathlib.Path]:
    """Gives the path of a new file; moves it to `path` once it is written whole.

    Args:
        path: of the file; its folder exists.
        ending: str, of the new file's name, for a writer that goes by it.
    Raises:
        OSError: if the disk is full or read-only. The old content is intact.
    """
    path = pathlib.Path(path)
    temporary = path.with_name(path.name + TEMPORARY + ending)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write(path: str | os.PathLike[str], content: str | bytes) -> None:
    """Writes str, as UTF-8, or bytes to `path`, which has the old content till then."""
    content = content.encode() if isinstance(content, str) else content
    with replaced(path) as temporary:
        temporary.write_bytes(content)
