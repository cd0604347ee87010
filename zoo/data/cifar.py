"""Reads the official CIFAR-10 files without TensorFlow and without trusting them.

The official "python version" is made of pickles, which can run any code when they are
loaded. Here an unpickler admits arrays of numbers and nothing else, archives are read
member by member in memory (nothing is extracted), and sizes are checked before reading.
"""

import io
import pathlib
import pickle
import tarfile

import numpy as np

from lng_keras._base.errors import UsageError

CLASS_NAMES = (
    *("airplane", "automobile", "bird", "cat", "deer"),
    *("dog", "frog", "horse", "ship", "truck"),
)
_TRAIN = tuple(f"data_batch_{i}" for i in range(1, 6))
_TEST = "test_batch"
_IMAGES = 10_000  # a batch
_RECORD = 1 + 3 * 32 * 32  # bytes: label, then red, green and blue planes
_LARGEST = 64 << 20  # bytes; an official file holds 31 MB

_FOLDERS = ("cifar-10-batches-py", "cifar-10-batches-bin", ".")
_ARCHIVES = ("cifar-10-python.tar.gz", "cifar-10-binary.tar.gz")


def find(folder):
    """Returns the path of the official batches in or below `folder`, or None.

    It is a folder with the python or binary batches, or one of the two archives.
    """
    folder = pathlib.Path(folder).expanduser()
    for name in _FOLDERS:
        for suffix in ("", ".bin"):
            if (folder / name / (_TRAIN[0] + suffix)).is_file():
                return folder / name
    for name in _ARCHIVES:
        if (folder / name).is_file():
            return folder / name
    return None


def read(folder):
    """Reads the official CIFAR-10 batches found in `folder`.

    Returns:
        `{"train": (images, labels), "test": (images, labels)}`, images
        `(n, 32, 32, 3)` uint8 and labels `(n,)` int64, in official order.
    Raises:
        UsageError: if there are none, or a file is missing, truncated, too large or
            holds anything but the arrays of a batch.
    """
    path = find(folder)
    if path is None:
        raise UsageError(
            f"no official CIFAR-10 batches in {folder}: expected one of "
            f"{', '.join(_FOLDERS[:2] + _ARCHIVES)}"
        )
    files = _read_archive(path) if path.is_file() else _read_folder(path)
    batches = {}
    for name in (*_TRAIN, _TEST):
        if name not in files and f"{name}.bin" not in files:
            raise UsageError(f"{path} lacks {name}; unpack or download it again")
        binary = f"{name}.bin" in files
        content = files[f"{name}.bin" if binary else name]
        try:
            batches[name] = _parse_binary(content) if binary else _parse_pickle(content)
        except _BATCH_ERRORS as error:
            raise UsageError(
                f"{name} in {path} is not an official CIFAR-10 batch ({error}); "
                "download it again"
            ) from error
    images, labels = zip(*(batches[name] for name in _TRAIN), strict=True)
    train = np.concatenate(images), np.concatenate(labels)
    return {"train": train, "test": batches[_TEST]}


def _read_folder(path):
    files = {}
    for name in (*_TRAIN, _TEST):
        for file in (path / name, path / f"{name}.bin"):
            if file.is_file():
                _check_size(file, file.stat().st_size)
                files[file.name] = file.read_bytes()
    return files


def _read_archive(path):
    """Returns the wanted members' bytes by base name. Nothing touches the disk."""
    wanted = {name + suffix for name in (*_TRAIN, _TEST) for suffix in ("", ".bin")}
    files = {}
    try:
        with tarfile.open(path, "r:gz") as archive:
            for member in archive:
                # Before the next member is looked for, which would decompress this
                # one: a bomb is refused by its declared size.
                _check_size(f"{member.name!r} in {path}", member.size)
                name = pathlib.PurePosixPath(member.name).name
                if member.isfile() and name in wanted:
                    files[name] = archive.extractfile(member).read()
    except (tarfile.TarError, EOFError, OSError) as error:
        raise UsageError(
            f"{path} is truncated or no tar.gz archive ({error}); download it again"
        ) from error
    return files


def _check_size(name, size):
    if size > _LARGEST:
        raise UsageError(
            f"{name} declares {size} bytes, an official CIFAR-10 file at most "
            f"{_LARGEST}; download it again"
        )


def _parse_binary(content):
    if len(content) != _IMAGES * _RECORD:
        raise ValueError(f"{len(content)} bytes instead of {_IMAGES * _RECORD}")
    records = np.frombuffer(content, np.uint8).reshape(_IMAGES, _RECORD)
    return _to_images(records[:, 1:], records[:, 0])


def _parse_pickle(content):
    batch = _ArraysOnly(io.BytesIO(content), encoding="bytes").load()
    if not isinstance(batch, dict) or not {b"data", b"labels"} <= batch.keys():
        raise ValueError("no dict with data and labels")
    data, labels = batch[b"data"], batch[b"labels"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint8:
        raise ValueError("data is no uint8 array")
    if data.shape != (_IMAGES, _RECORD - 1):
        raise ValueError(f"data has shape {data.shape}")
    labels = np.asarray(labels)
    if labels.shape != (_IMAGES,) or labels.dtype.kind not in "iu":
        raise ValueError("labels are not 10000 ints")
    return _to_images(data, labels)


def _to_images(planes, labels):
    """(n, 3072) bytes, plane by plane -> (n, 32, 32, 3)."""
    if labels.min() < 0 or labels.max() > 9:
        raise ValueError(f"labels from {labels.min()} to {labels.max()}, not 0 to 9")
    images = planes.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
    return np.ascontiguousarray(images), labels.astype(np.int64)


# What a pickled array is made of, under its name in old and new NumPy.
_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ADMITTED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}
# All that a malformed pickle or array raises; anything else is a bug and shows itself.
_BATCH_ERRORS = (
    *(pickle.UnpicklingError, ValueError, TypeError, KeyError, IndexError),
    *(EOFError, AttributeError, OverflowError, MemoryError, UnicodeError),
)


class _ArraysOnly(pickle.Unpickler):
    """Unpickles arrays, bytes, strings, numbers, lists and dicts; refuses the rest."""

    def find_class(self, module, name):
        try:
            return _ADMITTED[module, name]
        except KeyError:
            raise pickle.UnpicklingError(
                f"it asks for {module}.{name}, which no batch needs"
            ) from None
