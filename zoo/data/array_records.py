"""Labelled images that tensorflow-datasets prepared as array_record.

tensorflow-datasets reads any example of such a set by its number, so its images stay on
the disk. Labels lie beside the images: to know them, all records are read once.
"""

import dataclasses
import importlib.util
import os

import numpy as np

from lng_keras._base.errors import UsageError


@dataclasses.dataclass(frozen=True)
class Examples:
    """Encoded images of a split, a source of `EncodedImages`.

    Args:
        split: what messages call it.
        files: tuple of paths.
        records: sequence of `tf.train.Example`.
        numbers: array `(n,)`, which of the records these are.
    """

    split: str
    files: tuple
    records: object
    numbers: np.ndarray

    def __len__(self):
        return len(self.numbers)

    def name(self, i):
        return f"image {self.numbers[i]} of {self.split}"

    def read(self, i):
        return _value(self.records[self.numbers[i]], "image")

    def labels_and_ids(self):
        """Yields the label of each and what the data set calls it, or None."""
        for number in self.numbers:
            example = self.records[number]
            has_id = "id" in example.features.feature
            its_id = _value(example, "id") if has_id else None
            yield int(_value(example, "label")), its_id

    def subset(self, indices):
        return dataclasses.replace(self, numbers=self.numbers[indices])

    def update(self, digest):
        """Adds the files' names and sizes: to read all images would take hours."""
        for path in self.files:
            digest.update(os.path.basename(path).encode())
            digest.update(b" %d" % os.stat(path).st_size)
        digest.update(np.ascontiguousarray(self.numbers))


def open_split(tfds, builder, split):
    """Returns the `Examples` of a prepared split, in the order of its files.

    Raises:
        UsageError: if array_record is not installed.
    """
    if importlib.util.find_spec("array_record") is None:
        name = builder.info.name
        raise UsageError(
            f"{name} in {builder.data_dir} is stored as array_record, whose package is "
            "missing: pip install array_record, or prepare the set as tfrecord: tfds "
            f"build {name} --file_format=tfrecord"
        )
    # Nothing is decoded by tensorflow-datasets, which would trust the image.
    as_stored = tfds.decode.DeserializeMethod.DESERIALIZE_NO_DECODE
    return Examples(
        f"the {split} split of {builder.info.name} in {builder.data_dir}",
        tuple(map(os.fspath, builder.info.splits[split].filepaths)),
        builder.as_data_source(split, deserialize_method=as_stored),
        np.arange(builder.info.splits[split].num_examples),
    )


def _value(example, name):
    feature = example.features.feature
    if name not in feature:  # array_record reads b"" where a file is cut off
        raise ValueError(f"it has no feature {name}")
    (value,) = getattr(feature[name], feature[name].WhichOneof("kind")).value
    return value
