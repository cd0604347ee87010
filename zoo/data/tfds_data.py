"""Data sets of tensorflow-datasets, failing fast where there is no network.

tensorflow-datasets alone retries a download for more than three minutes when there is
no network. Here prepared data is looked for first, and a download is tried only where a
connection opens within seconds.
"""

import importlib.util
import math
import os
import socket
import threading

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.extras import install
from zoo.data import array_records, encoded_images, tfrecords

# A host to reach before a download is tried: its own, or the store that holds many of
# the prepared data sets.
_HOSTS = {"cifar10": "www.cs.toronto.edu", "cifar100": "www.cs.toronto.edu"}
_DEFAULT_HOST = "storage.googleapis.com"
_CONNECT_SECONDS = 5


def read(name, data_dir=None, image_size=0):
    """Reads an image-classification data set with tensorflow-datasets.

    Args:
        name: as tfds knows it, such as "cifar10", "mnist" or "svhn_cropped".
        data_dir: where prepared data is, and where a download goes. None: as tfds,
            `~/tensorflow_datasets`.
        image_size: int, side in pixels to scale and crop all images to. 0: all must
            have one size.
    Returns:
        `{"train": (images, labels), "test": (images, labels)}` and the class names;
        images `(n, h, w, c)` uint8, labels `(n,)` int64. Sets that fit into memory are
        arrays; larger ones, those that are scaled and those stored as array_record are
        `EncodedImages`. Arrays and array_record have the official order where the data
        set tells it (feature `id`), all others the order of their files.
    Raises:
        UsageError: if tfds is not installed, does not know the name, the data is absent
            and there is no network, or the set is not made of labelled images with a
            training and a test split.
    """
    tfds = _import_tfds(name)
    builder = _builder(tfds, name, data_dir)
    splits = _split_names(name, builder)
    if _format(builder) == "array_record":
        opened = {split: _open_split(tfds, builder, s) for split, s in splits.items()}
        arrays = encoded_images.like_first(opened, image_size, keep_grey=True)
    elif image_size or not _fits(builder, splits["train"]):
        arrays = _open_records(name, builder, splits, image_size)
    else:
        arrays = {
            split: _read_split(tfds, builder, its_name)
            for split, its_name in splits.items()
        }
    label = builder.info.features["label"]
    return arrays, tuple(label.names or map(str, range(label.num_classes)))


def _fits(builder, split):
    """Tells whether a split's decoded images have one size and fit into memory."""
    shape = builder.info.features["image"].shape
    if None in shape:
        return False
    count = builder.info.splits[split].num_examples
    return count * math.prod(shape) <= encoded_images.IN_MEMORY_BYTES


def _format(builder):
    kind = builder.info.file_format
    return "tfrecord" if kind is None else kind.value


def _open_records(name, builder, splits, image_size):
    if _format(builder) != "tfrecord":
        raise UsageError(
            f"--dataset={name} in {builder.data_dir} is stored as {_format(builder)}; "
            "to be read piece by piece it must be prepared as tfrecord (or array_record"
            f"): tfds build {name} --file_format=tfrecord"
        )
    files = {split: builder.info.splits[s].filepaths for split, s in splits.items()}
    arrays = tfrecords.read(files, image_size)
    for split, (_, labels) in arrays.items():
        wanted = builder.info.splits[splits[split]].num_examples
        if len(labels) != wanted:
            raise UsageError(
                f"the {split} split of {name} in {builder.data_dir} has {len(labels)} "
                f"examples instead of {wanted}; prepare it again"
            )
    return arrays


def _import_tfds(name):
    missing = [
        package
        for package in ("tensorflow", "tensorflow_datasets", "importlib_resources")
        if importlib.util.find_spec(package) is None
    ]
    if missing:
        raise UsageError(
            f"--dataset={name} needs {', '.join(missing)}: {install('train')}. "
            "The bundled sample, the official CIFAR-10 batches and "
            "image folders need none of them"
        )
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    import tensorflow as tf

    if keras.backend.backend() != "tensorflow":
        # It only decodes here, and would take the accelerator's memory all the same.
        tf.config.set_visible_devices([], "GPU")
    import tensorflow_datasets as tfds

    return tfds


def _builder(tfds, name, data_dir):
    """Returns a builder whose data is on this machine."""
    where = os.path.expanduser(data_dir or os.path.join("~", "tensorflow_datasets"))
    try:
        builder = tfds.builder(name, data_dir=where)
    except (tfds.core.registered.DatasetNotFoundError, ValueError) as error:
        raise UsageError(
            f"tensorflow-datasets does not know --dataset={name} "
            f"({str(error).splitlines()[0]}); see its catalog, or use --dataset=folder"
        ) from error
    if builder.is_prepared():
        return builder
    host = _HOSTS.get(name, _DEFAULT_HOST)
    if not reachable(host):
        raise UsageError(
            f"--dataset={name} is not in {where} and {host} does not answer; give "
            "--data_dir with prepared data, go online, or train on the bundled sample "
            "(--dataset=cifar10_sample)"
        )
    print(f"{name} is not in {where}: downloading it.", flush=True)
    try:
        builder.download_and_prepare()
    except Exception as error:  # tfds lets through what its many libraries raise
        raise UsageError(
            f"the download of {name} failed ({type(error).__name__}: "
            f"{(str(error) or 'no message').splitlines()[0]}); try again later, or "
            "give --data_dir with prepared data"
        ) from error
    return builder


def reachable(host, port=443, seconds=_CONNECT_SECONDS):
    """Tells whether a TCP connection to `host` opens within `seconds`."""
    opened = threading.Event()

    def connect():
        try:
            socket.create_connection((host, port), timeout=seconds).close()
            opened.set()
        except OSError:
            pass
        finally:
            done.set()

    # In a thread, because the name's resolution obeys no time-out.
    done = threading.Event()
    threading.Thread(target=connect, daemon=True).start()
    done.wait(seconds)
    return opened.is_set()


def _split_names(name, builder):
    features = builder.info.features
    if not {"image", "label"} <= set(features) or not hasattr(
        features["label"], "num_classes"
    ):
        raise UsageError(
            f"--dataset={name} has the features {', '.join(features)}; an image "
            "classification set with `image` and `label` is needed"
        )
    splits = builder.info.splits
    test = "test" if "test" in splits else "validation"
    if "train" not in splits or test not in splits:
        raise UsageError(
            f"--dataset={name} has the splits {', '.join(splits)}; a train and a test "
            "or validation split are needed"
        )
    return {"train": "train", "test": test}


def _read_split(tfds, builder, split):
    images, labels, ids = [], [], []
    for example in _all(
        builder, split, lambda: tfds.as_numpy(builder.as_dataset(split=split))
    ):
        images.append(example["image"])
        labels.append(example["label"])
        ids.append(example.get("id"))
    order = _official_order(ids)
    return np.stack(images)[order], np.array(labels, np.int64)[order]


def _open_split(tfds, builder, split):
    """Returns the `Examples` and labels of a split that is stored as array_record."""
    examples = array_records.open_split(tfds, builder, split)
    labels, ids = zip(*_all(builder, split, examples.labels_and_ids), strict=True)
    order = _official_order(ids)
    return examples.subset(order), np.array(labels, np.int64)[order]


def _all(builder, split, examples):
    """Yields what `examples()` holds; of what it raises, a line of its own."""
    count = 0
    try:
        for example in examples():
            yield example
            count += 1
    except Exception as error:  # TensorFlow's own classes, without one base
        raise UsageError(
            f"the {split} split of {builder.info.name} in {builder.data_dir} cannot be "
            f"read after {count} examples ({type(error).__name__}); prepare it again"
        ) from error


def _official_order(ids):
    """Returns the indices that sort; tfds stores examples in an order of its own."""
    return np.arange(len(ids)) if ids[0] is None else np.argsort(ids)
