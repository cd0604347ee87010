"""What one setting is: a field that carries its doc, its limits and what it is for."""

import dataclasses
import math
import typing


def setting(
    default,
    doc,
    *,
    choices=None,
    at_least=None,
    at_most=None,
    kept=True,
    result=True,
):
    """Returns the field of a setting; the field's annotation is its type.

    Args:
        default: its value if nobody gives one; None is left open, see completion.py.
        doc: str with unit, default and reason: the help of its flag.
        choices: tuple of the strings that it, or each of several, may be, or None.
        at_least, at_most: numbers it may not leave, or None.
        kept: bool, whether a run's flags.txt has it.
        result: bool, whether it makes a run's result; others say where and how.
    """
    metadata = dict(
        doc=doc,
        choices=choices,
        at_least=at_least,
        at_most=at_most,
        kept=kept,
        result=result,
    )
    return dataclasses.field(default=default, metadata=metadata)


def kind(field):
    """Returns the type of a field's values other than None, such as int or tuple."""
    if origin := typing.get_origin(field.type):
        # tuple[str, ...], or the union of a type and None.
        return origin if origin is tuple else typing.get_args(field.type)[0]
    return field.type


def checked(field, value):
    """Returns a value for a field, a whole number as a float and a list as a tuple.

    Raises:
        ValueError: if the field may not have it.
    """
    wanted, limits = kind(field), field.metadata
    if value is None and field.default is None:
        return None
    if wanted is float and type(value) is int:
        value = float(value)
    elif wanted is tuple and type(value) is list:
        value = tuple(value)
    shown = f"--{field.name}={value}"
    if type(value) is not wanted:
        raise ValueError(f"{shown} is of type {type(value).__name__}; give {wanted}")
    if wanted is float and not math.isfinite(value):
        raise ValueError(f"{shown} is not finite; give a number")
    chosen = value if wanted is tuple else (value,)
    if limits["choices"] and not set(chosen) <= set(limits["choices"]):
        raise ValueError(f"{shown} must be one of {', '.join(limits['choices'])}")
    if limits["at_least"] is not None and value < limits["at_least"]:
        raise ValueError(f"{shown} must be at least {limits['at_least']}")
    if limits["at_most"] is not None and value > limits["at_most"]:
        raise ValueError(f"{shown} must be at most {limits['at_most']}")
    return value
