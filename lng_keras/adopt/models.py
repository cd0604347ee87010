"""Turns what the user names into a model, and says what the model takes."""

import importlib
from collections.abc import Callable, Iterable
from typing import Any

import keras

from lng_keras._base import saved_model
from lng_keras._base.errors import UsageError
from lng_keras.adopt import early


def load_model(name: str, imports: Iterable[str] = ()) -> keras.Model:
    """Loads a model from a `.keras` file, or calls `module:function` for it.

    The function takes nothing and returns a built `keras.Model`. If it has an attribute
    `pixels`, that is the range in which its models take images of bytes, a key of
    `trainings.PIXELS`.

    Args:
        name: str.
        imports: modules to import first, which register custom layers.

    Raises:
        UsageError: with what to do about it.
    """
    for module in imports:
        _import(module)
    early.check_model(name)
    if early.is_file(name):
        return saved_model.load(
            name,
            instead="save it again with model.save()",
            custom="decorate it with @keras.saving.register_keras_serializable() and "
            "name the module that defines it: --import=MODULE",
            code="make the function a registered layer, or give "
            "--model=module:function",
        )
    build = function(name)
    keras.utils.set_random_seed(0)  # the same weights each time, to continue with
    model = build()
    if not isinstance(model, keras.Model):
        raise UsageError(
            f"{name} must return a keras.Model. Received: {type(model).__name__}"
        )
    return model


def known_pixels(name: str | None) -> str | None:
    """Returns the attribute `pixels` of `module:function`, or None."""
    if not name or early.is_file(name):
        return None
    return getattr(function(name), "pixels", None)


def function(name: str) -> Callable[..., Any]:
    """Returns what `module:function` names.

    Raises:
        UsageError: if there is no such module, or nothing in it that can be called.
    """
    module, attribute = name.split(":", 1)
    try:
        found = getattr(_import(module), attribute)
    except AttributeError as error:
        raise UsageError(
            f"Module {module!r} has no function {attribute!r}: {error}"
        ) from error
    if not callable(found):
        raise UsageError(f"{name} is no function but a {type(found).__name__}.")
    return found


def _import(module):
    try:
        return importlib.import_module(module)
    except (ImportError, TypeError, ValueError) as error:  # the last two: of the name
        raise UsageError(
            f"Cannot import {module!r}: {error}; name it as in an import statement, "
            "such as package.module."
        ) from error


def model_spec(model: keras.Model) -> tuple[tuple[int, ...], int]:
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
