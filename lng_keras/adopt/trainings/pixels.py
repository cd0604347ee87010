"""The range in which a model takes images of bytes."""

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.private.layers import flat
from lng_keras.adopt.defaults import PIXELS as PIXELS
from lng_keras.adopt.models import known_pixels


def pixel_range(
    model: keras.Model, pixels: str = "auto", source: str | None = None
) -> str:
    """The range in which a model takes images of bytes, a key of `PIXELS`.

    "auto": what the function says that the model's name `source` stands for, see
    `load_model`; else 0..255 if it has a layer that scales, else 0..1.
    """
    if pixels == "auto":
        pixels = known_pixels(source) or pixels
    if pixels != "auto":
        if pixels not in PIXELS:
            raise UsageError(
                f"Unknown range of pixels {pixels!r}. Known: auto, {', '.join(PIXELS)}."
            )
        return pixels
    scalers = (keras.layers.Rescaling, keras.layers.Normalization)
    found = any(isinstance(layer, scalers) for layer in flat(model))
    return "0..255" if found else "0..1"


def scaled(x: np.ndarray, pixels: str) -> np.ndarray:
    """Bytes as float32 in the range `pixels`; other inputs as they are."""
    if x.dtype != np.uint8:
        return x
    factor, offset = PIXELS[pixels]
    return x.astype("float32") * np.float32(factor) + np.float32(offset)
