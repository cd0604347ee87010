"""Turns what the user names into images with labels."""

import dataclasses
import functools
import inspect
import os
import re
import zipfile
from collections.abc import Sequence

import keras
import numpy as np

from lng_keras._base import image_folder, images
from lng_keras._base.errors import UsageError
from lng_keras._base.extras import needed
from lng_keras.adopt import defaults, fingerprint, models

VALIDATION_FRACTION = 0.2


@dataclasses.dataclass
class Data:
    """Training and validation examples.

    Attributes:
        x, y: training inputs and integer labels.
        x_val, y_val: the same for validation.
        description: str, one line for the report.
    """

    x: np.ndarray
    y: np.ndarray
    x_val: np.ndarray
    y_val: np.ndarray
    description: str

    def fingerprint(self) -> str:
        """Short digest of all examples."""
        return fingerprint.of_arrays((self.x, self.y, self.x_val, self.y_val))


def load_data(
    name: str,
    model: keras.Model,
    examples: int = defaults.EXAMPLES,
    data_dir: str | None = None,
) -> Data:
    """Loads images and labels from a folder, a file, a function or a known data set.

    A folder holds one folder of images a class, or `train/` and `validation/` with
    those, no class in `validation/` alone. An `.npz` file holds `x` and `y`, and
    `x_val` and `y_val` or else a fifth of the examples is taken for validation.
    Anything else is a name of tensorflow-datasets that is prepared already.

    `module:function` is a function that returns `(x, y, x_val, y_val)`; if it takes an
    argument `data_dir`, it gets that. Its labels are integers `(n,)`. Its inputs have a
    length and a shape, and give an array for an array of ints: arrays, or images that
    are decoded when they are asked for, as only those are that are used.

    Images, bytes `(height, width, channels)`, are scaled to the size the model takes;
    arrays of an `.npz` file are not.

    Args:
        examples: int, at most so many, training and validation together.

    Raises:
        UsageError: with what to do about it.
    """
    shape, classes = models.model_spec(model)
    if os.path.isdir(name):
        data = _folder(name, shape, examples)
    elif name.endswith(".npz"):
        data = _npz(name, examples)
    elif os.path.sep in name or os.path.exists(name):
        raise UsageError(f"No such data folder or .npz file: {name}")
    elif re.fullmatch(r"(?!tfds:)[\w.]+:[^\W\d]\w*", name):  # mnist:3.0.1 is of tfds
        data = _called(name, shape, examples, data_dir)
    else:
        data = _tfds(name.removeprefix("tfds:"), shape, examples, data_dir)
    return check(data, model, shape, classes)


def check(data: Data, model: keras.Model, shape: Sequence[int], classes: int) -> Data:
    """Refuses examples that the model cannot take."""
    for x, y in ((data.x, data.y), (data.x_val, data.y_val)):
        if len(x) != len(y) or not len(x):
            raise UsageError(
                f"{data.description}: {len(x)} inputs and {len(y)} labels; there must "
                "be as many, and at least one for training and validation each."
            )
        if x.shape[1:] != tuple(shape):
            raise UsageError(
                f"{data.description}: inputs of shape {x.shape[1:]} do not fit the "
                f"model {model.name!r}, which takes {shape}."
            )
        if y.ndim != 1 or y.dtype.kind not in "iu":
            raise UsageError(
                f"{data.description}: labels must be integers of shape (n,). "
                f"Received: {y.dtype} of shape {y.shape}."
            )
        limit = max(classes, 2)
        if y.min() < 0 or y.max() >= limit:
            raise UsageError(
                f"{data.description}: labels go from {y.min()} to {y.max()}, but the "
                f"model {model.name!r} has {limit} classes, 0 to {limit - 1}."
            )
    return data


def _chosen(count, examples):
    """Which `examples` of `count` are used: drawn, as files may be sorted by class."""
    return np.random.default_rng(0).permutation(count)[:examples]


def _split(x, y, examples, description):
    order = _chosen(len(x), examples)
    cut = max(1, int(len(order) * VALIDATION_FRACTION))
    val, train = order[:cut], order[cut:]
    return Data(x[train], y[train], x[val], y[val], description)


def _npz(path, examples):
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {key: file[key] for key in file.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UsageError(f"Cannot read {path}: {error}") from error
    if "x" not in arrays or "y" not in arrays:
        raise UsageError(
            f"{path} must hold arrays `x` and `y`. It holds: "
            f"{', '.join(arrays) or 'nothing'}."
        )
    name = os.path.basename(path)
    y = np.squeeze(arrays["y"])
    if len(arrays["x"]) != len(y):
        raise UsageError(f"{path}: {len(arrays['x'])} inputs and {len(y)} labels.")
    if "x_val" not in arrays or "y_val" not in arrays:
        return _split(arrays["x"], y, examples, name)
    x_val, y_val = arrays["x_val"], np.squeeze(arrays["y_val"])
    if len(x_val) != len(y_val):
        raise UsageError(f"{path}: {len(x_val)} x_val and {len(y_val)} y_val.")
    train, held = _parts(len(y), len(y_val), examples)
    return Data(arrays["x"][train], y[train], x_val[held], y_val[held], name)


def _parts(train, validation, examples):
    """Which of the training and the validation examples of two sets are used."""
    cut = int(examples * (1 - VALIDATION_FRACTION))
    return _chosen(train, cut), _chosen(validation, examples - cut)


def _folder(path, shape, examples):
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
            cut = int(examples * (1 - VALIDATION_FRACTION))
            x, y = _images(parts[0], classes, shape, cut)
            x_val, y_val = _images(parts[1], classes, shape, examples - cut)
            return Data(x, y, x_val, y_val, name)
    x, y = _images(path, _classes(path), shape, examples)
    return _split(x, y, examples, name)


def _classes(path):
    names = image_folder.class_names(path)
    if not names:
        raise UsageError(
            f"{path} has no folders: put the images of each class in one of its name."
        )
    return names


def _images(path, classes, shape, examples):
    _image_shape(shape)
    files, labels = image_folder.images_of(path, classes)
    if not len(files):
        raise UsageError(f"{path} has no images ({', '.join(images.SUFFIXES)}).")
    order = _chosen(len(files), examples)
    height, width, channels = shape
    x = np.empty((len(order), *shape), "uint8")
    for i, j in enumerate(order):
        read = functools.partial(files.read, j)
        x[i] = images.decode(read, files.name(j), channels, (width, height))
    return x, labels[order]


def _image_shape(shape):
    if len(shape) != 3 or shape[-1] not in (1, 3):
        raise UsageError(f"Images need an image model; this takes {shape}.")


def _scaled(image, shape):
    """A PIL image as bytes of `shape`, (height, width, channels)."""
    image = image.convert("RGB" if shape[-1] == 3 else "L")
    return np.asarray(image.resize((shape[1], shape[0]))).reshape(shape)


def _fitted(arrays, shape):
    """Images of bytes as one array of `shape` each; scaled if they are not."""
    if all(array.shape == shape for array in arrays):
        return np.stack(arrays)
    if any(array.dtype != np.uint8 or array.ndim != 3 for array in arrays):
        raise UsageError(
            f"The data are {arrays[0].dtype} of shape {arrays[0].shape}, which the "
            f"model does not take ({shape}) and which are no images to scale."
        )
    _image_shape(shape)
    pillow = needed("PIL.Image", "report")
    squeezed = (array[..., 0] if array.shape[-1] == 1 else array for array in arrays)
    return np.stack([_scaled(pillow.fromarray(x), shape) for x in squeezed])


def _called(name, shape, examples, data_dir):
    function = models.function(name)
    takes = inspect.signature(function).parameters
    given = function(**({"data_dir": data_dir} if "data_dir" in takes else {}))
    if not isinstance(given, (tuple, list)) or len(given) != 4:
        raise UsageError(f"{name} must return four arrays, x, y, x_val and y_val.")
    x, y, x_val, y_val = given
    for inputs, labels in ((x, y), (x_val, y_val)):
        if len(inputs) != len(labels):
            raise UsageError(f"{name}: {len(inputs)} inputs and {len(labels)} labels.")
    train, held = _parts(len(y), len(y_val), examples)
    description = f"{name.partition(':')[2]}, inputs of {x.shape[1:]}"
    if len(x.shape) == 4:
        description = f"{name.partition(':')[2]}, images of {x.shape[1:3]}"
    return Data(
        _fitted(list(x[train]), shape),
        np.asarray(y)[train],
        _fitted(list(x_val[held]), shape),
        np.asarray(y_val)[held],
        description,
    )


def _tfds(name, shape, examples, data_dir):
    tfds = needed("tensorflow_datasets", "train")
    data_dir = data_dir or os.environ.get("LNG_KERAS_DATA_DIR")
    try:
        # Not downloaded here: offline, the attempt hangs for minutes.
        builder = tfds.builder(name, data_dir=data_dir)
        splits = builder.info.splits
        counts = {"train": examples}
        held = next((s for s in ("validation", "test") if s in splits), None)
        if held:
            counts["train"] = int(examples * (1 - VALIDATION_FRACTION))
            counts[held] = examples - counts["train"]
        sets = []
        for split, count in counts.items():
            dataset = builder.as_dataset(split=f"{split}[:{count}]", as_supervised=True)
            sets.append(list(tfds.as_numpy(dataset)))
    except Exception as error:
        raise UsageError(
            f"No data {name!r}: no such folder or .npz file, and tensorflow-datasets "
            f"has none prepared ({str(error)[:160]})."
        ) from error
    arrays = []
    for pairs in sets:
        inputs, labels = zip(*pairs, strict=True)
        arrays += [_fitted(inputs, shape), np.stack(labels)]
    if held:
        return Data(*arrays, f"tfds {name}")
    return _split(*arrays, examples, f"tfds {name}")
