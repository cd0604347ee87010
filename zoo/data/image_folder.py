"""Image files sorted into one folder a class."""

import pathlib

import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.image_folder import class_names, images_of, skipped_line
from lng_keras._base.images import SUFFIXES
from zoo.data.encoded_images import like_first

_TRAIN_NAMES = ("train", "training")
_TEST_NAMES = ("test", "testing", "val", "valid", "validation", "eval")
_NAMED = 5  # classes whose names are told
_TEST_EVERY = 10  # images of a class, in name order, where no test folder exists


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
        `{"train": (images, labels), "test": (images, labels)}`, the class names, and
        a line on what was found and what skipped; images as `EncodedImages`, labels
        `(n,)` int64.
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
        files, labels, names, skipped = _list_classes(folder)
        how = f"every {_TEST_EVERY}th of a class, by name"
        # Each class is listed on its own, so ranks restart at its first image.
        ranks = np.arange(len(labels)) - np.searchsorted(labels, labels)
        held_out = ranks % _TEST_EVERY == _TEST_EVERY - 1
        splits = {
            "train": (files.subset(~held_out), labels[~held_out]),
            "test": (files.subset(held_out), labels[held_out]),
        }
    else:
        files, labels, names, skipped = _list_classes(train)
        test_files, test_labels, test_names, more = _list_classes(test)
        skipped, how = skipped + more, f"those in {test.name}/"
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
    images = like_first(splits, image_size)
    return images, names, _found(folder, images, names, how, image_size, skipped)


def _found(folder, images, names, how, image_size, skipped):
    """Says what was found: images, classes, split, sizes, and what was skipped."""
    counts = np.bincount(np.concatenate([labels for _, labels in images.values()]))
    train, test = (len(labels) for _, labels in images.values())
    height, width = images["train"][0].shape[1:3]
    scaled = "scaled and cropped to" if image_size else "all of"
    line = (
        f"image folder {folder}: {train + test:,} images, {scaled} {width} x {height} "
        f"pixels; {len(names)} classes of {counts.min():,} to {counts.max():,} "
        f"({', '.join(names[:_NAMED])}{', ...' * (len(names) > _NAMED)}); "
        f"{train:,} to train, {test:,} to test: {how}"
    )
    return f"{line}; {skipped_line(skipped)}" if skipped else line


def _split(folder, names):
    """Returns the folder of a split: one of these names that has folders, or None.

    A folder without folders is a class, even if it is called "train".
    """
    for path in sorted(p for p in folder.iterdir() if p.name.lower() in names):
        if path.is_dir() and any(p.is_dir() for p in path.iterdir()):
            return path
    return None


def _list_classes(folder):
    """Returns `Files`, labels (sorted), class names and counts of what is skipped."""
    names = class_names(folder)
    if len(names) < 2:
        raise UsageError(
            f"{folder} has {len(names)} class folder(s), a classifier needs at "
            "least 2; put the images of each class into a folder of its own"
        )
    files, labels, skipped = images_of(folder, names)
    counts = np.bincount(labels, minlength=len(names))
    for name, count in zip(names, counts, strict=True):
        if not count:
            raise UsageError(
                f"class folder {folder / name} has no images "
                f"({', '.join(sorted(SUFFIXES))}); add some or delete it"
                + (f"; {skipped_line(skipped)}" if skipped else "")
            )
    return files, labels, names, skipped
