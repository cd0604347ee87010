"""Images that stay encoded on the disk and are decoded when they are asked for.

However many there are, memory holds where each one lies and the pixels of the batches
in work. Any image is found without reading the others, so that an epoch may begin at
any batch, in any order, and each worker reads its own part.
"""

import concurrent.futures
import dataclasses

import numpy as np

from lng_keras._base import images
from lng_keras._base.errors import UsageError

IN_MEMORY_BYTES = 2 << 30  # a split of decoded pixels up to this size is kept in memory
_THREADS = concurrent.futures.ThreadPoolExecutor()


@dataclasses.dataclass(frozen=True)
class EncodedImages:
    """Looks like an array `(n, height, width, channels)` uint8, but reads a source.

    Indexing with an array of ints decodes those images, in threads. Nothing is kept.

    Args:
        source: where the bytes are, `lng_keras._base.image_folder.Files`,
            `zoo.data.tfrecords.Records` or `zoo.data.array_records.Examples`: has
            `len`, `read(i)` -> bytes, `name(i)`, `subset(indices)` and
            `update(digest)`.
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
        size = (self.width, self.height) if self.resize else None
        pixels = _decode(self.source, i, self.channels, size)
        if pixels.shape[:2] != (self.height, self.width):
            raise UsageError(
                f"images differ in size: {self.source.name(i)} is {pixels.shape[1]} x "
                f"{pixels.shape[0]}, the first one {self.width} x {self.height}; "
                "--image_size=N scales and crops all to N x N"
            )
        return pixels


def like_first(splits, image_size=0, keep_grey=False):
    """Returns the images of all splits, with the size of the first one.

    Args:
        splits: `{"train": (source, labels), ...}`, sources see `EncodedImages`; not
            empty.
        image_size: int, side in pixels to scale and crop all to; 0: as they are.
        keep_grey: bool, one channel if the first image has one, instead of three.
    Returns:
        `{"train": (images, labels), ...}`.
    """
    first = _decode(splits["train"][0], 0, channels=None if keep_grey else 3)
    height, width, channels = first.shape
    if image_size:
        height = width = image_size
    shape = (height, width, channels, bool(image_size))
    return {
        split: (EncodedImages(source, *shape), labels)
        for split, (source, labels) in splits.items()
    }


def _decode(source, i, channels, size=None):
    return images.decode(
        lambda: source.read(i), source.name(i), channels, size, crop=size is not None
    )
