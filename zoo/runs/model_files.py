"""Saves a trained model for use elsewhere, and loads one without trusting it."""

import keras

import zoo.models.registry  # noqa: F401, registers the layers that a file names
from lng_keras._base import files, saved_model
from lng_keras._base.errors import UsageError


def save(model, path):
    """Writes `model.keras` without the optimizer, atomically."""
    with files.replaced(path, ".keras") as temporary:
        # The same layers in an uncompiled model: it is a third of the size.
        keras.Model(model.input, model.output, name=model.name).save(temporary)


def load(path):
    """Loads a model.keras as train.py writes it: see `saved_model.load`."""
    return saved_model.load(
        path, only_weights=True, instead="give a model.keras that train.py wrote"
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
