"""Saves a trained model for use elsewhere, and loads one without trusting it."""

import pathlib
import re

import keras

from lng_keras._base.archive import check_archive
from lng_keras._base.errors import UsageError
from lng_keras._base.files import TEMPORARY

_MEMBERS = ("config.json", "metadata.json", "model.weights.h5")


def save(model, path):
    """Writes `model.keras` without the optimizer, atomically."""
    path = pathlib.Path(path)
    temporary = path.with_name(f"{path.stem}{TEMPORARY}{path.suffix}")
    try:
        # The same layers in an uncompiled model: it is a third of the size.
        keras.Model(model.input, model.output, name=model.name).save(temporary)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def load(path):
    """Loads a `.keras` file with safe mode on: no code in it runs.

    Raises:
        UsageError: if it is absent, damaged, unsafe or of unknown layers.
    """
    _check_archive(path)
    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a file may hold anything; Keras raises accordingly
        reason = (str(error) or type(error).__name__).strip().splitlines()[0]
        # Keras puts the config before what is wrong with it.
        if unknown := re.search(r"Could not locate \w+ '[^']+'", str(error)):
            reason = unknown[0]
        raise UsageError(
            f"{path} cannot be loaded ({reason[:200]}); give a model.keras that "
            "train.py wrote"
        ) from error


def _check_archive(path):
    """Refuses what is no model of ours before anything is unpacked."""
    names = check_archive(path)
    unknown = [name for name in names if name not in _MEMBERS]
    if unknown:
        raise UsageError(
            f"{path} holds {unknown[0]!r}, which no model of train.py has; do not load "
            "files from sources you do not trust"
        )


def copy_weights(source, target):
    """Copies the weights whose layer, name and shape agree.

    A classifier for another number of classes, or another normalization, stays at its
    initial values.

    Args:
        source, target: `keras.Model`, with layer names as the zoo gives them.
    Returns:
        The number of weights taken and of those left.
    Raises:
        UsageError: if none agrees.
    """
    given = {weight.path: weight for weight in source.weights}
    taken = 0
    for weight in target.weights:
        old = given.get(weight.path)
        if old is not None and tuple(old.shape) == tuple(weight.shape):
            weight.assign(keras.ops.convert_to_numpy(old))
            taken += 1
    if not taken:
        raise UsageError(
            f"no weight of {source.name} fits {target.name}; give a model of the same "
            "--model, --width and --patch_size"
        )
    return taken, len(target.weights) - taken
