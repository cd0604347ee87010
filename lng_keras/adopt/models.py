"""Turns what the user names into a model, and says what the model takes."""

import importlib
import os
import re

import keras

from lng_keras._base.archive import check_archive
from lng_keras._base.errors import UsageError


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
    except (ImportError, TypeError, ValueError) as error:  # the last two: of the name
        raise UsageError(
            f"Cannot import {module!r}: {error}; name it as in an import statement, "
            "such as package.module."
        ) from error


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
    keras.utils.set_random_seed(0)  # the same weights each time, to continue with
    try:
        return zoo.build(name, norm="bn" if name.startswith("resnet") else "ln")
    except ValueError as error:
        raise UsageError(error) from error


def _called(name):
    module, function = name.split(":", 1)
    found = getattr(_import(module), function, None)
    if not callable(found):
        raise UsageError(f"Module {module!r} has no function {function!r}.")
    keras.utils.set_random_seed(0)  # as in _zoo
    model = found()
    if not isinstance(model, keras.Model):
        raise UsageError(
            f"{name} must return a keras.Model. Received: {type(model).__name__}"
        )
    return model


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
    if None in inputs[1:]:
        raise UsageError(
            f"The report needs a model of known input size. The inputs of "
            f"{model.name!r} are {inputs}: build it anew on a keras.Input of one size."
        )
    if len(outputs) != 2 or not isinstance(outputs[-1], int):
        raise UsageError(
            f"The report needs a classifier, with outputs (batch, classes). The "
            f"outputs of {model.name!r} are {outputs}."
        )
    return inputs[1:], outputs[-1]
