"""A data set as splits of uint8 images and int labels, and what is made of them.

data = zoo.data.select(data, train_examples=1000, validation_examples=500)
"""

import dataclasses
import hashlib

import numpy as np

from lng_keras._base.errors import UsageError
from zoo.data import encoded_images


@dataclasses.dataclass(frozen=True)
class Split:
    """Images `(n, h, w, c)` uint8, in memory or not, and labels `(n,)` int64."""

    images: np.ndarray | encoded_images.EncodedImages
    labels: np.ndarray

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        subset = getattr(self.images, "subset", self.images.__getitem__)
        return Split(subset(indices), self.labels[indices])


@dataclasses.dataclass(frozen=True)
class Data:
    """A data set. `validation` is None unless it was split off the training images."""

    name: str
    train: Split
    test: Split
    class_names: tuple
    source: str  # one line: what it is and where it came from
    validation: Split | None = None

    @property
    def image_shape(self):
        """`(height, width, channels)`."""
        return self.train.images.shape[1:]


def check(data):
    """Refuses data that no classifier can be trained on.

    Raises:
        UsageError: for an empty split, images that are no bytes, labels out of range,
            a single class, or test images of another size than training images.
    """
    classes = len(data.class_names)
    for name, split in (("training", data.train), ("test", data.test)):
        images, labels = split.images, split.labels
        if len(images) != len(labels) or not len(labels):
            raise UsageError(
                f"the {name} set of {data.name} has {len(images)} images and "
                f"{len(labels)} labels; prepare it again"
            )
        if len(images.shape) != 4 or images.dtype != np.uint8:
            raise UsageError(
                f"the {name} images of {data.name} are {images.dtype} of shape "
                f"{images.shape}; uint8 (n, height, width, channels) is needed"
            )
        if labels.min() < 0 or labels.max() >= classes:
            raise UsageError(
                f"the {name} labels of {data.name} go from {labels.min()} to "
                f"{labels.max()}, its {classes} classes from 0 to {classes - 1}; "
                "prepare it again"
            )
    if len(np.unique(data.train.labels)) < 2:
        raise UsageError(
            f"all training images of {data.name} are of one class, "
            f"{data.class_names[data.train.labels[0]]!r}; a classifier needs two"
        )
    if data.train.images.shape[1:] != data.test.images.shape[1:]:
        raise UsageError(
            f"{data.name} has training images of {data.train.images.shape[1:]} and "
            f"test images of {data.test.images.shape[1:]}; --image_size=N makes them "
            "equal"
        )


def select(data, train_examples=0, validation_examples=0):
    """Splits off validation images and keeps some of the training images.

    Both by a rule without chance, so that every seed trains on the same images: the
    first of each class train, the last of each class validate, as balanced as can be.

    Args:
        data: `Data`.
        train_examples: int, how many to keep; 0 is all that do not validate.
        validation_examples: int, how many to take off the training images; the test
            images stay out of it.
    Raises:
        UsageError: if there are not that many.
    """
    available = len(data.train)
    if train_examples + validation_examples > available - (train_examples == 0):
        raise UsageError(
            f"--train_examples={train_examples} and --validation_examples="
            f"{validation_examples} ask for more than the {available} training images "
            f"of {data.name}; ask for fewer"
        )
    labels = data.train.labels
    held_out = available - 1 - balanced_choice(labels[::-1], validation_examples)
    rest = np.setdiff1d(np.arange(available), held_out)
    chosen = rest
    if train_examples:
        chosen = rest[balanced_choice(labels[rest], train_examples)]
    train = data.train.take(chosen) if len(chosen) < available else data.train
    validation = None
    if validation_examples:
        validation = in_memory(data.train.take(np.sort(held_out)))
    selected = dataclasses.replace(data, train=in_memory(train), validation=validation)
    check(selected)
    return selected


def balanced_choice(labels, count):
    """Returns the sorted indices of the first `count` examples, class by class in turn.

    The first example of every class, then the second of every class, and so on.
    """
    by_class = np.argsort(labels, kind="stable")
    _, starts, sizes = np.unique(
        labels[by_class], return_index=True, return_counts=True
    )
    rank = np.empty(len(labels), np.int64)
    rank[by_class] = np.arange(len(labels)) - np.repeat(starts, sizes)
    return np.sort(np.lexsort((labels, rank))[:count])


def randomize_labels(data, seed):
    """Replaces the training labels by uniform random ones, drawn once from `seed`.

    Validation and test labels stay: what is measured is how much can be memorized.
    """
    # A stream of its own: the order of the batches must not depend on it.
    rng = np.random.default_rng([seed, 0x1ABE1])
    labels = rng.integers(len(data.class_names), size=len(data.train))
    return with_train_labels(data, labels)


def with_train_labels(data, labels):
    """Replaces the training labels.

    Raises:
        UsageError: if they do not fit the data set.
    """
    replaced = dataclasses.replace(data, train=Split(data.train.images, labels))
    check(replaced)
    return replaced


def checksum(data):
    """Returns the SHA-256 of the images and labels, as hex.

    Of images that are decoded when they are asked for it covers names and sizes only.
    """
    digest = hashlib.sha256()
    for split in (data.train, data.validation, data.test):
        if split is None:
            continue
        digest.update(np.ascontiguousarray(split.labels))
        if isinstance(split.images, np.ndarray):
            digest.update(np.ascontiguousarray(split.images))
        else:
            split.images.source.update(digest)
    return digest.hexdigest()


def in_memory(split):
    """Returns a split with its images decoded, if they fit into memory."""
    images = split.images
    if isinstance(images, np.ndarray) or (
        images.nbytes > encoded_images.IN_MEMORY_BYTES
    ):
        return split
    chunks = np.array_split(np.arange(len(images)), max(1, len(images) // 1024))
    decoded = np.empty(images.shape, np.uint8)
    for chunk in chunks:
        decoded[chunk] = images[chunk]
    return Split(decoded, split.labels)
