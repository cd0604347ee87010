"""Trained models that come with the repository: zoo/presets/NAME.*.

    NAME.keras   the model with its weights, without the optimizer
    NAME.json    SHA-256, numbers, data and command
    NAME.md      the model card

A preset takes images in [-1, 1], that is pixels / 127.5 - 1, and gives logits.
"""

import hashlib
import json
import pathlib

from lng_keras._base.errors import UsageError
from zoo.runs import model_files

FOLDER = pathlib.Path(__file__).resolve().parents[1] / "presets"


def presets(folder=FOLDER):
    """Returns the published models: a dict name -> what their NAME.json holds."""
    return {
        path.stem: json.loads(path.read_text())
        for path in sorted(folder.glob("*.json"))
    }


def preset_path(name, folder=FOLDER):
    """Returns the path of a preset's NAME.keras, whose SHA-256 was compared.

    Raises:
        ValueError: for an unknown name, which lists the known ones, and for a file
            that is not the published one.
    """
    known = presets(folder)
    if name not in known:
        raise ValueError(
            f"Unknown preset. Received: {name!r}. Known: {', '.join(known) or 'none'}."
        )
    path = folder / f"{name}.keras"
    found = checksum(path) if path.exists() else "no file"
    if found != known[name]["sha256"]:
        raise ValueError(
            f"Preset {name!r} is damaged: its SHA-256 is {found}, published was "
            f"{known[name]['sha256']}. Take {path.name} from the repository again."
        )
    return path


def find(name):
    """Returns the path of a saved model: `name` itself, or that of a preset so named.

    Raises:
        UsageError: if it is neither.
    """
    if pathlib.Path(name).exists() or pathlib.Path(name).suffix == ".keras":
        return pathlib.Path(name)
    try:
        return pathlib.Path(preset_path(name))
    except ValueError as error:
        raise UsageError(f"{name} is no file and no preset: {error}") from error


def load(name, folder=FOLDER):
    """Returns the trained `keras.Model` of a preset, not compiled.

    Raises:
        ValueError: as `preset_path`.
    """
    return model_files.load(preset_path(name, folder))


def checksum(path):
    """Returns the SHA-256 of a file as hexadecimal digits."""
    return hashlib.sha256(pathlib.Path(path).read_bytes()).hexdigest()
