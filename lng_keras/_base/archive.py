"""Looks at a `.keras` file before anything in it is unpacked."""

import os
import pathlib
import zipfile

from lng_keras._base.errors import UsageError

_LARGEST_RATIO = 200  # unpacked over packed; weights hardly compress
_SMALL = 64 << 20  # bytes that are no harm whatever their ratio


def check_archive(path: str | os.PathLike[str]) -> list[str]:
    """Refuses an archive that is damaged, unpacks to too much or leaves its folder.

    Args:
        path: of a `.keras` file, which is a zip archive.
    Returns:
        The names of its members.
    Raises:
        UsageError: saying which, with the member's name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
    except FileNotFoundError:
        raise UsageError(f"{path} does not exist; give a model.keras") from None
    except (zipfile.BadZipFile, OSError, ValueError) as error:
        raise UsageError(
            f"{path} is not a .keras file, or is truncated ({error}); save it again"
        ) from error
    for member in members:
        name = pathlib.PurePosixPath(member.filename.replace("\\", "/"))
        if name.is_absolute() or ".." in name.parts:
            raise UsageError(
                f"{path} holds {member.filename!r}, a path out of its folder; do not "
                "load files from sources you do not trust"
            )
        ratio = member.file_size / max(1, member.compress_size)
        if member.file_size > _SMALL and ratio > _LARGEST_RATIO:
            raise UsageError(
                f"{path} unpacks {member.filename} to {member.file_size} bytes, "
                f"{ratio:.0f} times its packed size: a zip bomb; it is not loaded"
            )
    return [member.filename for member in members]
