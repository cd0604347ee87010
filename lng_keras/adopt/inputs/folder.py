"""Images in a folder that has one folder a class."""

import collections
import functools
import os

import numpy as np

from lng_keras._base import image_folder, images
from lng_keras._base.errors import UsageError
from lng_keras.adopt.inputs import choice, fitting
from lng_keras.adopt.inputs.data import Data

_NAMED = 5  # classes whose names are told


def read(path: str, shape: tuple[int, ...], examples: int) -> Data:
    name = f"folder {os.path.basename(os.path.abspath(path))}"
    skipped: collections.Counter[str] = collections.Counter()
    for held in ("validation", "val", "test"):
        parts = [os.path.join(path, part) for part in ("train", held)]
        if all(os.path.isdir(part) for part in parts):
            classes = _classes(parts[0])
            unknown = [c for c in _classes(parts[1]) if c not in classes]
            if unknown:
                raise UsageError(
                    f"{parts[1]} has classes that {parts[0]} has not: "
                    f"{', '.join(unknown)[:100]}; add them there or take them out."
                )
            counts = choice.counts(examples)
            (x, y), (x_val, y_val) = (
                _images(part, classes, shape, count, skipped)
                for part, count in zip(parts, counts, strict=True)
            )
            return Data(x, y, x_val, y_val, _described(name, classes, skipped))
    classes = _classes(path)
    x, y = _images(path, classes, shape, examples, skipped)
    return choice.split(x, y, examples, _described(name, classes, skipped))


def _described(name, classes, skipped):
    told = f"{name}, {len(classes)} classes ({', '.join(classes[:_NAMED])}"
    told += ", ...)" if len(classes) > _NAMED else ")"
    return f"{told}; {image_folder.skipped_line(skipped)}" if skipped else told


def _classes(path):
    names = image_folder.class_names(path)
    if not names:
        raise UsageError(
            f"{path} has no folders: put the images of each class in one of its name."
        )
    return names


def _images(path, classes, shape, examples, skipped):
    fitting.check_shape(shape)
    files, labels, more = image_folder.images_of(path, classes)
    skipped.update(more)
    if not len(files):
        raise UsageError(f"{path} has no images ({', '.join(images.SUFFIXES)}).")
    order = choice.chosen(len(files), examples)
    height, width, channels = shape
    x = np.empty((len(order), *shape), "uint8")
    for i, j in enumerate(order):
        read = functools.partial(files.read, j)
        x[i] = images.decode(read, files.name(j), channels, (width, height))
    return x, labels[order]
