"""Writes TFRecord files of labelled images, byte by byte as the format says."""

import functools
import io

import numpy as np
from PIL import Image

from zoo.data.tfrecords import masked_crc32c


def varint(number):
    number &= (1 << 64) - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*out, number])


def field(number, content):
    """A field that has a length: bytes, text or a message."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def feature(value):
    """A `tf.train.Feature` of bytes, an int, or a list of floats."""
    if isinstance(value, bytes):
        return field(1, field(1, value))
    if isinstance(value, int):
        return field(3, field(1, varint(value)))
    return field(2, field(1, np.array(value, "<f4").tobytes()))


def example(**features):
    """A `tf.train.Example`; `__` in a name stands for `/`."""
    entries = [
        field(1, field(1, name.replace("__", "/").encode()) + field(2, feature(value)))
        for name, value in features.items()
    ]
    return field(1, b"".join(entries))


@functools.lru_cache(maxsize=256)
def framed(record):
    length = len(record).to_bytes(8, "little")
    return length + masked_crc32c(length) + record + masked_crc32c(record)


def encoded(pixels, kind="png"):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, kind)
    return stream.getvalue()


def write(path, records):
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for record in records:
            file.write(framed(record))


def write_set(folder, n=40, classes=2, size=(8, 6), shards=2, tests=8, seed=0):
    """Writes train and test files; returns the training pixels and labels."""
    rng = np.random.default_rng(seed)
    pixels = rng.integers(256, size=(n + tests, size[1], size[0], 3), dtype=np.uint8)
    labels = np.arange(n + tests) % classes
    records = [
        example(image=encoded(p), label=int(label))
        for p, label in zip(pixels, labels, strict=True)
    ]
    for k, part in enumerate(np.array_split(np.arange(n), shards)):
        name = f"train-{k:05d}-of-{shards:05d}"
        write(folder / name, [records[i] for i in part])
    write(folder / "test-00000-of-00001", records[n:])
    return pixels[:n], labels[:n]


def write_tfds(folder, name, shape, pixels, kind="tfrecord"):
    """Writes a prepared set of tensorflow-datasets: 20 and 4 images of two classes.

    Args:
        shape: of the images, as its feature declares it.
        pixels: function (i) -> image `i`, uint8.
        kind: "tfrecord" or "array_record".
    Returns:
        The paths of its files for training.
    """
    import tensorflow as tf
    import tensorflow_datasets as tfds

    def examples(n):
        def generate():
            for i in range(n):
                yield {"image": pixels(i), "label": i % 2}

        signature = {
            "image": tf.TensorSpec(shape, tf.uint8),
            "label": tf.TensorSpec((), tf.int64),
        }
        return tf.data.Dataset.from_generator(generate, output_signature=signature)

    tfds.dataset_builders.store_as_tfds_dataset(
        name=name,
        version="1.0.0",
        features=tfds.features.FeaturesDict(
            {
                "image": tfds.features.Image(shape=shape),
                "label": tfds.features.ClassLabel(names=["cat", "dog"]),
            }
        ),
        split_datasets={"train": examples(20), "test": examples(4)},
        data_dir=folder,
        file_format=kind,
    )
    return list(folder.rglob(f"{name}-train.{kind}*"))
