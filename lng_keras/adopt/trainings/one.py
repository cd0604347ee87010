"""Trains one model."""

import time
from typing import Any

import keras
import numpy as np

from lng_keras._base.private.layers import flat
from lng_keras.adopt.cost import quantized
from lng_keras.adopt.inputs import Data
from lng_keras.adopt.trainings.classifier import compiled, correct
from lng_keras.adopt.trainings.pixels import scaled
from lng_keras.adopt.trainings.progress import Progress, Say


def settle(model: keras.Model, steps: int) -> tuple[float, float] | None:
    """Lets running statistics of BatchNormalization settle within `steps` steps.

    They start at 0 and 1 and forget that by a factor of `momentum` a step; Keras'
    MobileNetV3 has 0.999, so that after 150 steps 86 % of the start is left and the
    model fails on new images however well it was trained. A larger momentum than
    leaves 1 % after `steps` is lowered to that: only the way the statistics are
    averaged changes, and not a single gradient.

    Returns:
        `(before, after)`, the largest momentum that was lowered, or None.
    """
    after = 0.01 ** (1 / max(1, steps))
    lowered = [
        layer
        for layer in flat(model)
        if isinstance(layer, keras.layers.BatchNormalization)
        and not layer.renorm  # there the statistics are part of the forward pass
        and layer.momentum > after
    ]
    before = max((layer.momentum for layer in lowered), default=None)
    for layer in lowered:
        layer.momentum = after
    return before and (before, after)


def train(
    model: keras.Model,
    data: Data,
    epochs: int,
    batch_size: int,
    learning_rate: float,
    pixels: str,
    seed: int,
    say: Say,
    int8: bool = False,
) -> dict[str, Any]:
    """Trains one model; returns its history and which examples it got right."""
    keras.utils.set_random_seed(seed)
    x, x_val = scaled(data.x, pixels), scaled(data.x_val, pixels)
    settled = settle(model, -(-len(x) // batch_size))
    start = time.perf_counter()
    history = compiled(model, learning_rate).fit(
        x,
        data.y,
        batch_size=batch_size,
        epochs=epochs,
        validation_data=(x_val, data.y_val),
        verbose=0,
        callbacks=[Progress(say, epochs)],
    )
    result: dict[str, Any] = {
        "history": {k: [float(v) for v in vs] for k, vs in history.history.items()},
        "seconds": time.perf_counter() - start,
        "right": correct(model, x_val, data.y_val, batch_size),
        "momentum": settled,
    }
    result["accuracy"] = float(np.mean(result["right"]))
    if int8:
        right = correct(quantized(model), x_val, data.y_val, batch_size)
        result["int8_accuracy"] = float(np.mean(right))
    return result
