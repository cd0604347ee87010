"""Layers of Keras by faster operations, on torch's CPU."""

import torch

from zoo.devices.batch_norm import FusedCall, fuses


def speed_up(layers):
    """BatchNormalization trains by torch's one fused operation.

    The sums are the same up to their order.

    Args:
        layers: list of the layers of a model.
    """
    for layer in layers:
        if fuses(layer):
            layer.call = FusedCall(layer, _fused)


def _fused(inputs, gamma, beta, epsilon):
    # Maps stay where they are: torch sees the same memory as (b, c, h, w).
    maps = inputs.permute(0, 3, 1, 2)
    outputs, mean, inverse = torch.native_batch_norm(
        *(maps, gamma, beta, None, None), True, 0.0, epsilon
    )
    return outputs.permute(0, 2, 3, 1), mean, inverse**-2 - epsilon
