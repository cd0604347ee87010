"""Layers of Keras models by faster operations, on a CPU."""

import warnings

import keras

from lng_keras._base.private.layers import flat
from lng_keras._base.private.names import NameGone


def speed_up(model, compiled):
    """Changes how layers compute; what they are, save and restore stays the same.

    Args:
        model: `keras.Model`, which is not compiled yet.
        compiled: bool, whether the step will be, by XLA or by torch.compile.
    """
    backend = keras.backend.backend()
    try:
        layers = flat(model)
    except NameGone as error:
        warnings.warn(f"Training is slower than it need be: {error}", stacklevel=2)
        return
    if backend == "jax":
        from zoo.devices import jax_cpu

        jax_cpu.speed_up(layers)
    elif backend == "tensorflow" and not compiled:
        from zoo.devices import tensorflow_cpu

        tensorflow_cpu.speed_up(layers)
    elif backend == "torch" and not compiled:
        from zoo.devices import torch_cpu

        torch_cpu.speed_up(layers)
