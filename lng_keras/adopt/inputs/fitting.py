"""Brings images to the size that a model takes."""

from collections.abc import Sequence

import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.extras import needed


def check_shape(shape: Sequence[int]) -> None:
    """Refuses a model that takes no images."""
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise UsageError(f"Images need an image model; this takes {shape}.")


def _scaled(image, shape):
    """A PIL image as bytes of `shape`, (height, width, channels)."""
    image = image.convert("RGB" if shape[-1] == 3 else "L")
    return np.asarray(image.resize((shape[1], shape[0]))).reshape(shape)


def fitted(arrays: Sequence[np.ndarray], shape: tuple[int, ...]) -> np.ndarray:
    """Images of bytes as one array of `shape` each; scaled if they are not."""
    if all(array.shape == shape for array in arrays):
        return np.stack(arrays)
    if any(array.dtype != np.uint8 or array.ndim != 3 for array in arrays):
        raise UsageError(
            f"The data are {arrays[0].dtype} of shape {arrays[0].shape}, which the "
            f"model does not take ({shape}) and which are no images to scale."
        )
    check_shape(shape)
    pillow = needed("PIL.Image", "report")
    squeezed = (array[..., 0] if array.shape[-1] == 1 else array for array in arrays)
    return np.stack([_scaled(pillow.fromarray(x), shape) for x in squeezed])
