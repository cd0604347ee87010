"""Loads a saved model without trusting the file."""

import os
import pathlib
import re
import zipfile

import keras

from lng_keras._base.errors import UsageError

_LARGEST_RATIO = 200  # unpacked over packed; weights hardly compress
_SMALL = 64 << 20  # bytes that are no harm whatever their ratio
_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")


def load(
    path: str | os.PathLike[str],
    only_weights: bool = False,
    instead: str = "",
    custom: str = "",
    code: str = "",
) -> keras.Model:
    """Loads a `.keras` or `.h5` file with safe mode on: no code in it runs.

    Args:
        path: of the file.
        only_weights: bool, refuse an archive with anything but a configuration and
            weights; a layer may keep files of its own, such as a vocabulary.
        instead, custom, code: str, what to do about a file that cannot be loaded,
            about a class or function that is not known here, about a Lambda layer.
    Returns:
        A `keras.Model`, not compiled.
    Raises:
        UsageError: if it is absent, damaged, unsafe or of unknown layers.
    """
    if not pathlib.Path(path).is_file():
        raise UsageError(f"{path} does not exist; give a model.keras")
    if pathlib.Path(path).suffix not in (".h5", ".hdf5"):
        _check_archive(path, only_weights)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a file may hold anything; Keras raises accordingly
        text = str(error).strip() or type(error).__name__
        # Keras puts the config before what is wrong with it.
        if unknown := re.search(r"Could not locate (class|function) '([^']+)'", text):
            reason = f"it has the custom {unknown[1]} {unknown[2]!r}"
            advice = custom or instead
        elif "lambda" in text.lower():
            reason = "it has a Lambda layer, which runs code of the file"
            advice = code or instead
        else:
            reason, advice = text.splitlines()[0][:200], instead
        raise UsageError(f"{path} cannot be loaded ({reason}); {advice}") from error


def _check_archive(path, only_weights):
    """Refuses an archive that is damaged, unpacks to too much or leaves its folder."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
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
        if only_weights and member.filename not in _MEMBERS:
            raise UsageError(
                f"{path} holds {member.filename!r}, which no model of train.py has; do "
                "not load files from sources you do not trust"
            )
