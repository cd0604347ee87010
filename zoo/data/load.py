"""Loads a data set for image classification, wherever its images are.

data = zoo.data.load("cifar10_sample")
"""

import dataclasses
import pathlib

import numpy as np

from lng_keras._base.errors import UsageError
from zoo.data import cifar, image_folder, tfds_data, tfrecords
from zoo.data.sample import make_sample
from zoo.data.splits import Data, Split, check, in_memory

SAMPLE = "cifar10_sample"


def load(dataset=SAMPLE, data_dir=None, image_size=0, grayscale=False):
    """Loads a data set.

    Args:
        dataset: "cifar10_sample" (in the repository), "folder" (of images, one folder
            a class, in `data_dir`), "tfrecord" (files of labelled images in
            `data_dir`), or a name of tensorflow-datasets; "cifar10" is read from the
            official batches if `data_dir` has them.
        data_dir: path or None.
        image_size: int, side in pixels to which images are scaled and cropped; 0
            takes them as they are.
        grayscale: bool, one channel instead of three (ITU-R 601 luma).
    Returns:
        `Data`, in memory if a split's pixels take 2 GiB or less; else its images are
        decoded when they are asked for.
    Raises:
        UsageError: if it is absent, unreadable, or not fit to train a classifier.
    """
    official = dataset == "cifar10" and data_dir and cifar.find(data_dir)
    if image_size and (dataset == SAMPLE or official):
        raise UsageError(
            f"--image_size={image_size} scales the images of --dataset=folder, "
            "tfrecord and those of tensorflow-datasets, and --dataset="
            f"{dataset} has a size of its own; leave it out"
        )
    arrays, names, source = _read(dataset, data_dir, image_size, official)
    data = Data(
        name=dataset,
        train=_prepared(arrays["train"], grayscale),
        test=_prepared(arrays["test"], grayscale),
        class_names=tuple(names),
        source=source,
    )
    check(data)
    return data


def _read(dataset, data_dir, image_size, official):
    """Returns arrays of each split, class names, and a line on where they are from."""
    if dataset == SAMPLE:
        folder = pathlib.Path(make_sample.__file__).parent
        arrays = {
            split: make_sample.read_sheet(folder / f"cifar10_{split}.png")
            for split in ("train", "test")
        }
        source = (
            "a bundled sample of CIFAR-10, 4,000 + 1,000 images, no full data set; "
            "get all 60,000 with --dataset=cifar10 (--data_dir=FOLDER with the "
            "official batches, or online through tensorflow-datasets)"
        )
        return arrays, cifar.CLASS_NAMES, source
    if dataset == "folder":
        if not data_dir:
            raise UsageError("--dataset=folder needs --data_dir, the folder of images")
        return image_folder.read_folder(data_dir, image_size)
    if dataset == "tfrecord":
        if not data_dir:
            raise UsageError("--dataset=tfrecord needs --data_dir, the folder of files")
        found = tfrecords.read_folder(data_dir, image_size)
        return *found, f"TFRecord files in {data_dir}"
    if official:
        source = f"official CIFAR-10 batches in {official}"
        return cifar.read(data_dir), cifar.CLASS_NAMES, source
    found = tfds_data.read(dataset, data_dir, image_size)
    return *found, f"{dataset} through tensorflow-datasets"


def _prepared(arrays, grayscale):
    split = Split(*arrays)
    return in_memory(_to_grey(split) if grayscale else split)


def _to_grey(split):
    images = split.images
    if not isinstance(images, np.ndarray):
        return Split(dataclasses.replace(images, channels=1), split.labels)
    if images.shape[-1] == 1:
        return split
    luma = images @ np.array([0.299, 0.587, 0.114], np.float32)
    return Split(np.rint(luma).astype(np.uint8)[..., None], split.labels)
