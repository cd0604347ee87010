"""Turns what the user names into a model and into images with labels."""

import dataclasses
import hashlib
import importlib
import os
import re
import zipfile

import keras
import numpy as np

from lng_keras.archive import check_archive
from lng_keras.errors import UsageError
from lng_keras.extras import needed

IMAGES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".gif")
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

    def fingerprint(self):
        """Short digest of all examples."""
        digest = hashlib.sha256()
        for array in (self.x, self.y, self.x_val, self.y_val):
            digest.update(str((array.shape, array.dtype)).encode())
            digest.update(np.ascontiguousarray(array).data)
        return digest.hexdigest()[:16]


def load_model(name, imports=()):
    """Loads a model from a `.keras` file, `zoo:NAME` or `module:function`.

    Args:
        name: str.
        imports: modules to import first, which register custom layers.

    Raises:
        UsageError: with what to do about it.
    """
    for module in imports:
        _import(module)
    if name.startswith("zoo:"):
        return _zoo(name[4:])
    if os.path.exists(name) or name.endswith((".keras", ".h5")):
        return _saved(name)
    if ":" in name:
        return _called(name)
    raise UsageError(
        f"No model {name!r}: give a .keras file, zoo:NAME or module:function."
    )


def _import(module):
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise UsageError(f"Cannot import {module!r}: {error}") from error


def _saved(path):
    if not os.path.isfile(path):
        raise UsageError(f"No such model file: {path}")
    if path.endswith(".keras"):
        check_archive(path)
    try:
        return keras.models.load_model(path, compile=False)
    except Exception as error:
        text = str(error)
        found = re.search(r"Could not locate (class|function) '([^']+)'", text)
        if found:
            raise UsageError(
                f"{path} has the custom {found[1]} {found[2]!r}. Decorate it with "
                "@keras.saving.register_keras_serializable() and name the module "
                "that defines it: --import=MODULE."
            ) from error
        if "lambda" in text.lower():
            raise UsageError(
                f"{path} has a Lambda layer, which runs code of the file; it is not "
                "loaded. Make the function a registered layer, or give "
                "--model=module:function."
            ) from error
        raise UsageError(f"Cannot load {path}: {text[:200]}") from error


def _zoo(name):
    try:
        zoo = importlib.import_module("zoo")
    except ImportError as error:
        raise UsageError(
            "zoo: models come with the repository, not with the package; run this in "
            f"a checkout ({error})."
        ) from error
    try:
        return zoo.build(name, norm="bn" if name.startswith("resnet") else "ln")
    except ValueError as error:
        raise UsageError(error) from error


def _called(name):
    module, function = name.split(":", 1)
    found = getattr(_import(module), function, None)
    if not callable(found):
        raise UsageError(f"Module {module!r} has no function {function!r}.")
    model = found()
    if not isinstance(model, keras.Model):
        raise UsageError(
            f"{name} must return a keras.Model. Received: {type(model).__name__}"
        )
    return model


def load_data(name, model, examples=5000, data_dir=None):
    """Loads images and labels from a folder, an `.npz` file or tensorflow-datasets.

    A folder holds one folder of images a class, or `train/` and `validation/` with
    those. An `.npz` file holds `x` and `y`, and `x_val` and `y_val` or else a fifth
    of the examples is taken for validation. Anything else is a name of
    tensorflow-datasets that is prepared already.

    Args:
        examples: int, at most so many, training and validation together.

    Raises:
        UsageError: with what to do about it.
    """
    shape, classes = model_spec(model)
    if os.path.isdir(name):
        data = _folder(name, shape, examples)
    elif name.endswith(".npz"):
        data = _npz(name, examples)
    elif os.path.sep in name or os.path.exists(name):
        raise UsageError(f"No such data folder or .npz file: {name}")
    else:
        data = _tfds(name.removeprefix("tfds:"), shape, examples, data_dir)
    return check(data, model, shape, classes)


def model_spec(model):
    """Returns the shape of one input and the number of classes of a classifier."""
    try:
        inputs, outputs = model.input_shape, model.output_shape
    except (AttributeError, ValueError) as error:
        raise UsageError(
            f"The shapes of {type(model).__name__} {model.name!r} are not known; wrap "
            "it in a functional model."
        ) from error
    if not (isinstance(inputs, tuple) and isinstance(outputs, tuple)) or isinstance(
        inputs[0], (tuple, list)
    ):
        raise UsageError("The report needs a model of one input and one output.")
    if len(outputs) != 2 or not isinstance(outputs[-1], int):
        raise UsageError(
            f"The report needs a classifier, with outputs (batch, classes). The "
            f"outputs of {model.name!r} are {outputs}."
        )
    return inputs[1:], outputs[-1]


def check(data, model, shape, classes):
    """Refuses examples that the model cannot take."""
    for x, y in ((data.x, data.y), (data.x_val, data.y_val)):
        if len(x) != len(y) or not len(x):
            raise UsageError(
                f"{data.description}: {len(x)} inputs and {len(y)} labels; there must "
                "be as many, and at least one for training and validation each."
            )
        fits = len(x.shape) == len(shape) + 1 and all(
            wanted in (None, size)
            for wanted, size in zip(shape, x.shape[1:], strict=True)
        )
        if not fits:
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


def _split(x, y, examples, description):
    order = np.random.default_rng(0).permutation(len(x))[:examples]
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
    if "x_val" in arrays and "y_val" in arrays:
        cut = int(examples * (1 - VALIDATION_FRACTION))
        held = examples - cut
        return Data(
            arrays["x"][:cut],
            y[:cut],
            arrays["x_val"][:held],
            np.squeeze(arrays["y_val"])[:held],
            name,
        )
    if len(arrays["x"]) != len(y):
        raise UsageError(f"{path}: {len(arrays['x'])} inputs and {len(y)} labels.")
    return _split(arrays["x"], y, examples, name)


def _folder(path, shape, examples):
    for held in ("validation", "val", "test"):
        parts = [os.path.join(path, part) for part in ("train", held)]
        if all(os.path.isdir(part) for part in parts):
            classes = _classes(parts[0])
            cut = int(examples * (1 - VALIDATION_FRACTION))
            x, y = _images(parts[0], classes, shape, cut)
            x_val, y_val = _images(parts[1], classes, shape, examples - cut)
            return Data(x, y, x_val, y_val, f"folder {os.path.basename(path)}")
    x, y = _images(path, _classes(path), shape, examples)
    return _split(x, y, examples, f"folder {os.path.basename(os.path.abspath(path))}")


def _classes(path):
    names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir())
    if not names:
        raise UsageError(
            f"{path} has no folders: put the images of each class in one of its name."
        )
    return names


def _images(path, classes, shape, examples):
    pillow = needed("PIL.Image", "report")
    if len(shape) != 3 or None in shape or shape[-1] not in (1, 3):
        raise UsageError(
            f"A folder of images needs an image model; this takes {shape}."
        )
    files = []
    for label, name in enumerate(classes):
        folder = os.path.join(path, name)
        if os.path.isdir(folder):
            files += [
                (os.path.join(folder, file), label)
                for file in sorted(os.listdir(folder))
                if file.lower().endswith(IMAGES)
            ]
    if not files:
        raise UsageError(f"{path} has no images ({', '.join(IMAGES)}).")
    order = np.random.default_rng(0).permutation(len(files))[:examples]
    x = np.empty((len(order), *shape), "uint8")
    for i, j in enumerate(order):
        try:
            with pillow.open(files[j][0]) as image:
                image = image.convert("RGB" if shape[-1] == 3 else "L")
                pixels = np.asarray(image.resize((shape[1], shape[0])))
        except OSError as error:
            raise UsageError(f"Cannot read {files[j][0]}: {error}") from error
        x[i] = pixels.reshape(shape)
    return x, np.array([files[j][1] for j in order])


def _tfds(name, shape, examples, data_dir):
    tfds = needed("tensorflow_datasets", "train")
    data_dir = data_dir or os.environ.get("LNG_KERAS_DATA_DIR")
    try:
        # Not downloaded here: offline, the attempt hangs for minutes.
        builder = tfds.builder(name, data_dir=data_dir)
        splits = builder.info.splits
        held = next(s for s in ("validation", "test", "train") if s in splits)
        cut = int(examples * (1 - VALIDATION_FRACTION))
        sets = {}
        for split, count in (("train", cut), (held, examples - cut)):
            dataset = builder.as_dataset(split=f"{split}[:{count}]", as_supervised=True)
            sets[split] = list(tfds.as_numpy(dataset))
    except Exception as error:
        raise UsageError(
            f"No data {name!r}: no such folder or .npz file, and tensorflow-datasets "
            f"has none prepared ({str(error)[:160]})."
        ) from error
    arrays = [
        np.stack([example[i] for example in sets[split]])
        for split in ("train", held)
        for i in (0, 1)
    ]
    if held == "train":
        return _split(arrays[0], arrays[1], examples, f"tfds {name}")
    return Data(*arrays, f"tfds {name}")
