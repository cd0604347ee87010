"""Labelled images in TFRecord files, read at random without TensorFlow.

A TFRecord file is a row of records: length (8 bytes), its checksum (4), the record, the
record's checksum (4). A record is a `tf.train.Example`, as tensorflow-datasets and
TF-Slim write them: an encoded image and an int label. One pass over the lengths finds
where each image lies and reads the labels, not the images; from then on any image is
one read. Checksums of lengths are verified, those of records are not: they cover bytes
that this pass never touches. An image that is damaged shows itself to its decoder.
"""

import array
import dataclasses
import mmap
import os
import pathlib
import re

import numpy as np

from lng_keras._base.errors import UsageError
from zoo.data import example_proto
from zoo.data.encoded_images import like_first

IMAGE_NAMES = ("image", "image/encoded")
LABEL_NAMES = ("label", "image/class/label")
_SPLITS = {"train": ("train", "training"), "test": ("test", "validation", "val")}
_CLASS_NAME_FILES = ("label.labels.txt", "labels.txt", "classes.txt")
_SHARD = re.compile(r"^(.*)-(\d{5,})-of-(\d{5,})$")


@dataclasses.dataclass(frozen=True)
class Records:
    """Encoded images within files, a source of `EncodedImages`. 20 bytes an image.

    Args:
        files: tuple of str.
        file, start, size: arrays `(n,)`: the number of the file in which an image
            lies, its first byte there, and its bytes.
    """

    files: tuple
    file: np.ndarray
    start: np.ndarray
    size: np.ndarray

    def __len__(self):
        return len(self.start)

    def name(self, i):
        return f"the image at byte {self.start[i]} of {self.files[self.file[i]]}"

    def read(self, i):
        # Opened anew each time: a set may have more files than a process may hold.
        with open(self.files[self.file[i]], "rb", buffering=0) as file:
            file.seek(int(self.start[i]))
            return file.read(int(self.size[i]))

    def subset(self, indices):
        parts = (a[indices] for a in (self.file, self.start, self.size))
        return Records(self.files, *parts)

    def update(self, digest):
        """Adds the places of all images to a checksum: to read all would take hours."""
        for name in self.files:
            digest.update(os.path.basename(name).encode())
        for part in (self.file, self.start, self.size):
            digest.update(np.ascontiguousarray(part))


def read_folder(folder, image_size=0):
    """Indexes the TFRecord files of a folder.

    The name of a file says what it is for: the words train, test, validation or val,
    as in `train-00000-of-00010` and `cifar10-test.tfrecord-00000-of-00001`, or the name
    of the sub-folder it lies in. Class names are the lines of `label.labels.txt`,
    `labels.txt` or `classes.txt`; without such a file, numbers.

    Args:
        folder: path.
        image_size: int, side in pixels to scale and crop all images to. 0: all must
            have the size of the first one.
    Returns:
        `{"train": (images, labels), "test": (images, labels)}` and the class names,
        images as `EncodedImages`, labels `(n,)` int64.
    Raises:
        UsageError: for a missing folder, split or shard, and for a file that is
            truncated, compressed, or holds anything but labelled images.
    """
    folder = pathlib.Path(folder).expanduser()
    if not folder.is_dir():
        raise UsageError(f"--data_dir={folder} is no folder; give one with TFRecords")
    files = find(folder)
    arrays = read({split: files[split] for split in _SPLITS}, image_size)
    largest = max(int(labels.max()) for _, labels in arrays.values())
    return arrays, _class_names(folder) or tuple(map(str, range(largest + 1)))


def find(folder):
    """Returns `{"train": paths, "test": paths}` of the TFRecord files in a folder.

    Sub-folders are looked into if they are named as a split; others may hold another
    data set.
    """
    words = [word for split in _SPLITS.values() for word in split]
    found = {}
    for parent in (folder, *(folder / word for word in words)):
        for path in sorted(parent.glob("*")):
            if ".tfrec" in path.name or _SHARD.match(path.name):
                name = str(path.relative_to(folder)).lower()
                said = [word for word in re.split("[^a-z]+", name) if word in words]
                if said:  # the last one: a data set may be called test
                    found.setdefault(said[-1], []).append(path)
    files = {}
    for split, words in _SPLITS.items():
        files[split] = next((found[word] for word in words if word in found), [])
        if not files[split]:
            raise UsageError(
                f"{folder} has no TFRecord file for {split}: a name with "
                f"{' or '.join(words)}, such as {words[0]}-00000-of-00001; rename or "
                "add one"
            )
        _check_complete(files[split])
    return files


def _check_complete(paths):
    """Refuses a set of shards, NAME-00000-of-00004 and so on, that lacks one."""
    names = {str(path) for path in paths}
    for path in paths:
        if shard := _SHARD.match(str(path)):
            base, number, count = shard.groups()
            for i in range(int(count)):
                wanted = f"{base}-{i:0{len(number)}}-of-{count}"
                if wanted not in names:
                    raise UsageError(f"{wanted} is missing; copy all {count} shards")


def read(files, image_size=0):
    """Indexes TFRecord files.

    Args:
        files: `{"train": paths, "test": paths}`.
        image_size: see `read_folder`.
    Returns:
        `{"train": (images, labels), "test": (images, labels)}`.
    """
    indexed = {split: index(paths) for split, paths in files.items()}
    return like_first(indexed, image_size, keep_grey=True)


def index(paths):
    """Returns the `Records` of files and their labels `(n,)` int64.

    Raises:
        UsageError: naming the file and the byte at which it is not what it should be.
    """
    numbers, starts = array.array("I"), array.array("Q")
    sizes, labels = array.array("Q"), array.array("q")
    for number, path in enumerate(paths):
        for start, size, label in _labelled_images(path):
            numbers.append(number)
            starts.append(start)
            sizes.append(size)
            labels.append(label)
    parts = (np.frombuffer(a, a.typecode) for a in (numbers, starts, sizes))
    records = Records(tuple(map(str, paths)), *parts)
    return records, np.frombuffer(labels, np.int64)


def _labelled_images(path):
    """Yields (first byte, bytes, label) of each image of a file."""
    with open(path, "rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise UsageError(f"{path} is empty; copy it again or delete it")
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            if hasattr(mmap, "MADV_RANDOM"):
                content.madvise(mmap.MADV_RANDOM)  # do not read what is skipped
            if content[:2] == b"\x1f\x8b":
                raise UsageError(
                    f"{path} is compressed, and cannot be read from its middle; "
                    "write the records uncompressed (images are compressed already)"
                )
            for start, stop in _records(path, content):
                try:
                    yield example_proto.labelled_image(
                        content, start, stop, IMAGE_NAMES, LABEL_NAMES
                    )
                except example_proto.Malformed as error:
                    raise UsageError(
                        f"the record at byte {start} of {path} {error}; a "
                        "tf.train.Example with an encoded image and an int label is "
                        "needed"
                    ) from error


def _records(path, content):
    """Yields (first byte, byte after the last) of each record."""
    at, end = 0, len(content)
    while at < end:
        header = content[at : at + 12]
        start, length = at + 12, int.from_bytes(header[:8], "little")
        if len(header) == 12 and masked_crc32c(header[:8]) != header[8:]:
            raise UsageError(
                f"{path} is no TFRecord file, or damaged at byte {at}; write or copy "
                "it again"
            )
        at = start + length + 4
        if len(header) < 12 or at > end:
            raise UsageError(
                f"{path} is truncated: it has {end} bytes, the record at byte "
                f"{start - 12} ends at {at}; copy it again"
            )
        yield start, start + length


def _class_names(folder):
    for name in _CLASS_NAME_FILES:
        if (folder / name).is_file():
            lines = (folder / name).read_text().splitlines()
            return tuple(line.strip() for line in lines if line.strip())
    return ()


def _crc32c_table():
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return table


_TABLE = _crc32c_table()


def masked_crc32c(data):
    """Returns the checksum that TFRecords use, as 4 bytes."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc = _TABLE[(crc ^ byte) & 0xFF] ^ crc >> 8
    crc ^= 0xFFFFFFFF
    masked = ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF
    return masked.to_bytes(4, "little")
