"""Images in a folder that has one folder a class."""

import functools
import os

import numpy as np

from lng_keras._base import image_folder, images
from lng_keras._base.errors import UsageError
from lng_keras.adopt.inputs import choice, fitting
from lng_keras.adopt.inputs.data import Data


def read(path: str, shape: tuple[int, ...], examples: int) -> Data:
    name = f"folder {os.path.basename(os.path.abspath(path))}"
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
                _images(part, classes, shape, count)
                for part, count in zip(parts, counts, strict=True)
            )
            return Data(x, y, x_val, y_val, name)
    x, y = _images(path, _classes(path), shape, examples)
    return choice.split(x, y, examples, name)


def _classes(path):
    names = image_folder.class_names(path)
    if not names:
        raise UsageError(
            f"{path} has no folders: put the images of each class in one of its name."
        )
    return names


def _images(path, classes, shape, examples):
    fitting.check_shape(shape)
    files, labels = image_folder.images_of(path, classes)
    if not len(files):
        raise UsageError(f"{path} has no images ({', '.join(images.SUFFIXES)}).")
    order = choice.chosen(len(files), examples)
    height, width, channels = shape
    x = np.empty((len(order), *shape), "uint8")
    for i, j in enumerate(order):
        read = functools.partial(files.read, j)
        x[i] = images.decode(read, files.name(j), channels, (width, height))
    return x, labels[order]
