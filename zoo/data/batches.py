"""The batches of an epoch, as a pure function of (seed, epoch, batch number).

Nothing is remembered between batches, so a run that is interrupted after any batch
continues with exactly the batches it would have seen.
"""

import concurrent.futures
import copy

import keras
import numpy as np

PAD = 4  # pixels on each side before cropping, as He et al. 2016 train on CIFAR
_ORDER, _AUGMENT = 0, 1  # streams of random numbers


class MadeAhead(keras.utils.PyDataset):
    """A data set whose next batches are made in threads while one is used.

    Not by Keras' own threads (`workers=2`): on JAX Keras looks at the first batch and
    begins the epoch anew, but its queue goes on from where it was, so that the first
    epoch of a process would see other batches than a resumed one.
    """

    _AHEAD = 2

    def __init__(self):
        super().__init__(workers=1)
        self._coming = {}

    def __getitem__(self, i):
        coming = self._coming.pop(i, None)
        for j in range(i + 1, min(i + 1 + self._AHEAD, len(self))):
            if j not in self._coming:
                self._coming[j] = _POOL.submit(self.make, j)
        return self.make(i) if coming is None else coming.result()

    def make(self, i):
        """Returns batch `i`; a pure function of it."""
        raise NotImplementedError

    def for_keras(self):
        """Returns what Keras' `fit` and `predict` are given of this data set."""
        if keras.backend.backend() != "tensorflow":
            return self
        from zoo.data import tensorflow_data

        return tensorflow_data.from_batches(self)


_POOL = concurrent.futures.ThreadPoolExecutor(max_workers=2)


class Batches(MadeAhead):
    """Training batches `(images, labels)`: float32 in [-1, 1] and one-hot float32.

    Every example once an epoch, in an order drawn from (seed, epoch); the examples
    beyond the last whole batch are left out of that epoch.

    Args:
        images: `(n, h, w, c)` uint8, an array or `EncodedImages`.
        labels: `(n,)` int.
        classes: int.
        batch_size: int, of all workers together.
        seed: int.
        epoch: int, from 0.
        first_batch: int, where a resumed epoch begins.
        crop: bool, pad by 4 pixels and crop back.
        flip: bool, flip left-right every other time. It needs `crop`.
        worker, workers: ints; this worker gets its part of each batch.
    """

    def __init__(
        self,
        images,
        labels,
        classes,
        batch_size,
        seed,
        epoch,
        first_batch=0,
        crop=True,
        flip=True,
        worker=0,
        workers=1,
    ):
        super().__init__()
        self.images, self.labels, self.classes = images, labels, classes
        self.batch_size, self.crop, self.flip = batch_size, crop, flip
        self.seed, self.epoch, self.first_batch = seed, epoch, first_batch
        self.part = slice(worker, None, workers)
        order = np.random.default_rng([seed, epoch, _ORDER])
        self.order = order.permutation(len(labels))

    def __len__(self):
        return len(self.labels) // self.batch_size - self.first_batch

    def part_of(self, worker, workers):
        """Returns the same batches with another worker's part of each."""
        part = copy.copy(self)
        part.part, part._coming = slice(worker, None, workers), {}
        return part

    def draw(self, i):
        """Returns what batch `i` is: indices `(b,)`, offsets `(b, 2)`, flips `(b,)`.

        Of the whole batch, so that each example is augmented alike whatever the number
        of workers.
        """
        i += self.first_batch
        indices = self.order[i * self.batch_size : (i + 1) * self.batch_size]
        if not self.crop:
            unmoved = np.full((len(indices), 2), PAD)
            return indices, unmoved, np.zeros(len(indices), bool)
        rng = np.random.default_rng([self.seed, self.epoch, _AUGMENT, i])
        offsets, flips = draw_crop_and_flip(rng, len(indices))
        return indices, offsets, flips & self.flip

    def make(self, i):
        indices, offsets, flips = (drawn[self.part] for drawn in self.draw(i))
        images = self.images[indices]
        if self.crop:
            images = crop_and_flip(images, offsets, flips)
        return normalize(images), one_hot(self.labels[indices], self.classes)


def draw_crop_and_flip(rng, n):
    """Returns offsets `(n, 2)` int in [0, 2 * PAD] and flips `(n,)` bool."""
    return rng.integers(2 * PAD + 1, size=(n, 2)), rng.random(n) < 0.5


def crop_and_flip(images, offsets, flips):
    """Pads by 4 black pixels, crops back to size at an offset, and flips left-right.

    Args:
        images: `(n, h, w, c)`.
        offsets: `(n, 2)` ints in [0, 8], the crop's first row and column.
        flips: `(n,)` bool.
    """
    n, height, width, _ = images.shape
    padded = np.pad(images, ((0, 0), (PAD, PAD), (PAD, PAD), (0, 0)))
    rows = offsets[:, :1] + np.arange(height)
    columns = np.arange(width)
    columns = offsets[:, 1:] + np.where(flips[:, None], columns[::-1], columns)
    return padded[np.arange(n)[:, None, None], rows[:, :, None], columns[:, None, :]]


def normalize(images):
    """uint8 pixels -> float32 in [-1, 1]: mean 0.5, std 0.5, as the authors scale.

    Rounded once: 2 x - 255 is exact, so that a compiler that joins a product and a sum
    gives the same bits.
    """
    return (images * np.float32(2) - np.float32(255)) * np.float32(1 / 255)


def one_hot(labels, classes):
    """`(n,)` int -> `(n, classes)` float32."""
    return np.eye(classes, dtype=np.float32)[labels]
