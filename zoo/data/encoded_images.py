"""Images that stay encoded on the disk and are decoded when they are asked for.

However many there are, memory holds where each one lies and the pixels of the batches
in work. Any image is found without reading the others, so that an epoch may begin at
any batch, in any order, and each worker reads its own part.
"""

import concurrent.futures
import dataclasses
import io

import numpy as np
from PIL import Image

from lng_keras._base.errors import UsageError

IN_MEMORY_BYTES = 2 << 30  # a split of decoded pixels up to this size is kept in memory
# What is looked for in a file, whatever its name. Pillow knows many more, EPS among
# them, which runs Ghostscript.
_FORMATS = ("PNG", "JPEG", "WEBP", "BMP", "PPM", "GIF")
_LARGEST_PIXELS = 100_000_000  # an image that claims more is a bomb or a mistake
_THREADS = concurrent.futures.ThreadPoolExecutor()


@dataclasses.dataclass(frozen=True)
class EncodedImages:
    """Looks like an array `(n, height, width, channels)` uint8, but reads a source.

    Indexing with an array of ints decodes those images, in threads. Nothing is kept.

    Args:
        source: where the bytes are, `zoo.image_folder.Files` or
            `zoo.tfrecords.Records`: has `len`, `read(i)` -> bytes, `name(i)`,
            `subset(indices)` and `update(digest)`.
        height, width: int, pixels. An image of another size is refused, unless
            `resize`.
        channels: 1 (grey) or 3.
        resize: bool, scale the shorter side and crop the middle to that size.
    """

    source: object
    height: int
    width: int
    channels: int = 3
    resize: bool = False

    def __len__(self):
        return len(self.source)

    @property
    def shape(self):
        return (len(self.source), self.height, self.width, self.channels)

    @property
    def dtype(self):
        return np.dtype(np.uint8)

    @property
    def nbytes(self):
        """What the pixels would take in memory, in bytes."""
        return int(np.prod(self.shape, dtype=np.int64))

    def __getitem__(self, indices):
        if len(indices) < 8:
            return np.stack([self._decode(i) for i in indices])
        # Pillow decodes without holding Python's lock.
        return np.stack(list(_THREADS.map(self._decode, indices)))

    def subset(self, indices):
        return dataclasses.replace(self, source=self.source.subset(indices))

    def _decode(self, i):
        size = (self.width, self.height)
        pixels = decode(self.source, i, self.channels, size if self.resize else None)
        if pixels.shape[:2] != (self.height, self.width):
            raise UsageError(
                f"images differ in size: {self.source.name(i)} is {pixels.shape[1]} x "
                f"{pixels.shape[0]}, the first one {self.width} x {self.height}; "
                "--image_size=N scales and crops all to N x N"
            )
        return pixels


def like_first(source, image_size=0, keep_grey=False):
    """Returns the images of a source, with the size of the first one.

    Args:
        source: see `EncodedImages`; not empty.
        image_size: int, side in pixels to scale and crop all to; 0: as they are.
        keep_grey: bool, one channel if the first image has one, instead of three.
    """
    channels = None if keep_grey else 3
    height, width, channels = decode(source, 0, channels).shape
    if image_size:
        height = width = image_size
    return EncodedImages(source, height, width, channels, resize=bool(image_size))


def decode(source, i, channels=3, size=None):
    """Decodes image `i` of a source to `(height, width, channels)` uint8.

    Args:
        source: see `EncodedImages`. Of an animation, the first image is taken.
        channels: 1 (grey, ITU-R 601 luma), 3, or None for what the image has.
        size: `(width, height)` in pixels to scale and crop to, or None.
    Raises:
        UsageError: if the image is unreadable, truncated, larger than 100 megapixels
            or has pixels that are no bytes.
    """
    try:
        with Image.open(io.BytesIO(source.read(i)), formats=_FORMATS) as image:
            if image.width * image.height > _LARGEST_PIXELS:
                raise ValueError(f"it claims {image.width} x {image.height} pixels")
            if image.mode.startswith(("F", "I")):
                raise ValueError(f"its pixels are no bytes but of mode {image.mode}")
            if channels is None:
                channels = 1 if image.mode in ("L", "1") else 3
            if size is not None:
                # Lets the JPEG decoder skip detail beyond twice the wanted size.
                image.draft(None, (2 * size[0], 2 * size[1]))
            image = image.convert("L" if channels == 1 else "RGB")
            if size is not None and image.size != size:
                image = _scale_and_crop(image, size)
            pixels = np.asarray(image)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        reason = str(error).partition(" <_io.BytesIO")[0]  # Pillow names its input
        raise UsageError(
            f"{source.name(i)} is no usable image ({reason}); replace or delete it"
        ) from error
    return pixels[:, :, None] if channels == 1 else pixels


def _scale_and_crop(image, size):
    """Scales so that `size` just fits, and cuts out the middle."""
    width, height = size
    scale = min(image.width / width, image.height / height)
    crop_width, crop_height = width * scale, height * scale
    left = (image.width - crop_width) / 2
    top = (image.height - crop_height) / 2
    box = (left, top, left + crop_width, top + crop_height)
    return image.resize(size, Image.Resampling.BILINEAR, box=box)
