"""Image files sorted into one folder a class."""

import dataclasses
import os
import pathlib

import numpy as np

from lng_keras._base.errors import UsageError
from zoo.data.encoded_images import like_first

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".ppm", ".gif")
_TRAIN_NAMES = ("train", "training")
_TEST_NAMES = ("test", "testing", "val", "valid", "validation", "eval")
_TEST_EVERY = 10  # images of a class, in name order, where no test folder exists


@dataclasses.dataclass(frozen=True)
class Files:
    """Files below a folder, a source of `EncodedImages`.

    Args:
        folder: str.
        paths: array of n byte strings, relative to it: a quarter of the memory that
            text takes in NumPy.
    """

    folder: str
    paths: np.ndarray

    def __len__(self):
        return len(self.paths)

    def name(self, i):
        return os.path.join(self.folder, os.fsdecode(self.paths[i]))

    def read(self, i):
        with open(self.name(i), "rb") as file:
            return file.read()

    def subset(self, indices):
        return Files(self.folder, self.paths[indices])

    def update(self, digest):
        """Adds names and sizes to a checksum: to read all would take hours."""
        for i in range(len(self)):
            digest.update(self.paths[i])
            digest.update(b" %d" % os.stat(self.name(i)).st_size)


def read_folder(folder, image_size=0):
    """Lists the images of a folder.

    It holds either `train/CLASS/*.png` and `test/CLASS/*.png` (also `val` and the
    like, in any case), or `CLASS/*.png`; then every tenth image of a class, by name,
    is a test image.

    Args:
        folder: path.
        image_size: int, side in pixels to scale and crop all images to. 0: all must
            have the size of the first one.
    Returns:
        `{"train": (images, labels), "test": (images, labels)}` and the class names,
        images as `EncodedImages`, labels `(n,)` int64.
    Raises:
        UsageError: for a missing folder, a class without images, fewer than two
            classes, one of the folders train and test without the other, or other
            classes in the one than in the other.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--data_dir={folder} is no folder; give one with images")
    train, test = _split(folder, _TRAIN_NAMES), _split(folder, _TEST_NAMES)
    if (train is None) != (test is None):
        raise UsageError(
            f"{folder} has {(train or test).name}/ with folders of images, but no "
            f"{'training' if train is None else 'test'} folder beside it; add one "
            f"({', '.join(_TRAIN_NAMES if train is None else _TEST_NAMES)}), or give "
            f"{train or test} itself as --data_dir"
        )
    if train is None:
        files, labels, names = _list_classes(folder)
        # Each class is listed on its own, so ranks restart at its first image.
        ranks = np.arange(len(labels)) - np.searchsorted(labels, labels)
        held_out = ranks % _TEST_EVERY == _TEST_EVERY - 1
        splits = {
            "train": (files.subset(~held_out), labels[~held_out]),
            "test": (files.subset(held_out), labels[held_out]),
        }
    else:
        files, labels, names = _list_classes(train)
        test_files, test_labels, test_names = _list_classes(test)
        if names != test_names:
            raise UsageError(
                f"{train} and {test} differ in their classes: "
                f"{', '.join(sorted(set(names) ^ set(test_names)))}; "
                "give both the same class folders"
            )
        splits = {"train": (files, labels), "test": (test_files, test_labels)}
    if not len(splits["test"][0]):
        raise UsageError(
            f"{folder} leaves no test image: no class has {_TEST_EVERY} images; "
            "add images, or train/ and test/ folders"
        )
    images = like_first(splits["train"][0], image_size)
    arrays = {
        split: (dataclasses.replace(images, source=files), labels)
        for split, (files, labels) in splits.items()
    }
    return arrays, names


def _split(folder, names):
    """Returns the folder of a split: one of these names that has folders, or None.

    A folder without folders is a class, even if it is called "train".
    """
    for path in sorted(p for p in folder.iterdir() if p.name.lower() in names):
        if path.is_dir() and any(p.is_dir() for p in path.iterdir()):
            return path
    return None


def _list_classes(folder):
    """Returns `Files`, labels (sorted) and class names of `folder/CLASS/**`."""
    classes = sorted(
        p for p in folder.iterdir() if p.is_dir() and not p.name.startswith(".")
    )
    if len(classes) < 2:
        raise UsageError(
            f"{folder} has {len(classes)} class folder(s), a classifier needs at "
            "least 2; put the images of each class into a folder of its own"
        )
    paths = []
    for name in classes:
        paths.append(_list_images(folder, name))
        if not len(paths[-1]):
            raise UsageError(
                f"class folder {name} has no images ({', '.join(sorted(SUFFIXES))}); "
                "add some or delete it"
            )
    labels = np.repeat(np.arange(len(classes)), [len(p) for p in paths])
    files = Files(str(folder), np.concatenate(paths))
    return files, labels, tuple(p.name for p in classes)


def _list_images(folder, below):
    """Returns the sorted paths of the images below, relative to `folder`."""

    def fail(error):
        raise UsageError(
            f"{error.filename} cannot be listed ({error.strerror}); make it readable"
        ) from error

    found, skip = [], len(os.path.join(str(folder), ""))
    for where, _, names in os.walk(below, onerror=fail):
        where = where[skip:]
        found += [
            os.fsencode(os.path.join(where, name))
            for name in names
            if name.lower().endswith(SUFFIXES)
        ]
    return np.sort(np.array(found, dtype=np.bytes_))
