"""Reads image files without trusting them.

Pillow opens whatever it knows, whatever a file is called: an EPS body in a `.png` would
be run by Ghostscript. Here only formats that hold nothing but pixels are looked for,
and of those no more pixels than a photograph has.
"""

import io
from collections.abc import Callable

import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.extras import needed

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".gif")
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "GIF")
_LARGEST_PIXELS = 100_000_000  # an image that claims more is a bomb or a mistake


def decode(
    read: Callable[[], bytes],
    name: str,
    channels: int | None = 3,
    size: tuple[int, int] | None = None,
    crop: bool = False,
) -> np.ndarray:
    """Decodes an image to `(height, width, channels)` uint8, upright as EXIF says.

    Colours of a palette and CMYK become RGB, transparency is dropped, 16 bits a colour
    lose their lower 8 (in Pillow). 16 bits or floats of grey are refused: nothing says
    which of their values is white. Of an animation, the first image is taken.

    Args:
        read: function () -> bytes of the file.
        name: what an error calls the image.
        channels: 1 (grey, ITU-R 601 luma), 3, or None for what the image has.
        size: `(width, height)` in pixels to scale to, or None.
        crop: bool, keep the shape of what is seen: scale the shorter side to `size`
            and cut out the middle.
    Raises:
        UsageError: if it is unreadable, truncated, no image of a known format, larger
            than 100 megapixels, or has pixels that are no bytes.
    """
    pillow = needed("PIL.Image", "report")
    try:
        with pillow.open(io.BytesIO(read()), formats=_FORMATS) as image:
            if image.width * image.height > _LARGEST_PIXELS:
                raise ValueError(f"it claims {image.width} x {image.height} pixels")
            if image.mode.startswith(("F", "I")):
                raise ValueError(f"its pixels are no bytes but of mode {image.mode}")
            if channels is None:
                channels = 1 if image.mode in ("L", "1") else 3
            if crop and size is not None:
                # Lets the JPEG decoder skip detail beyond twice the wanted size.
                image.draft(None, (2 * max(size), 2 * max(size)))
            image.load()
            _turn_upright(image)
            if image.mode == "P" and "transparency" in image.info:
                image = image.convert("RGBA")  # else Pillow warns that it is dropped
            image = image.convert("L" if channels == 1 else "RGB")
            if size is not None and image.size != size:
                image = _cropped(image, size) if crop else image.resize(size)
            return np.asarray(image).reshape(image.height, image.width, channels)
    except Exception as error:  # of a hostile file, Pillow raises anything
        reason = str(error).partition(" <_io.BytesIO")[0]  # Pillow names its input
        raise UsageError(
            f"{name} is no usable image ({reason or type(error).__name__}); replace or "
            "delete it"
        ) from error


def _turn_upright(image):
    """Turns an image in place as its EXIF entry, if there is a sound one, asks for."""
    try:
        needed("PIL.ImageOps", "report").exif_transpose(image, in_place=True)
    except Exception:  # ImageNet has photographs with damaged EXIF and sound pixels
        pass


def _cropped(image, size):
    """Scales so that `size` just fits, and cuts out the middle."""
    width, height = size
    scale = min(image.width / width, image.height / height)
    crop_width, crop_height = width * scale, height * scale
    left = (image.width - crop_width) / 2
    top = (image.height - crop_height) / 2
    box = (left, top, left + crop_width, top + crop_height)
    return image.resize(size, needed("PIL.Image", "report").BILINEAR, box=box)
