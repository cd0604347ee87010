"""The error that train.py prints as one line instead of a traceback."""

import re


class InputError(ValueError):
    """Something the user gave is wrong: a flag, a file, a folder.

    The message is one line: what is wrong, what was received, what to do.
    """


def within(error):
    """Returns the InputError that another error wraps, or None.

    TensorFlow asks for batches through C++ and gives back what they raise as text of
    an error of its own: "... InputError: the message" and a traceback.
    """
    if isinstance(error, InputError):
        return error
    if error.__cause__ is not None:
        return within(error.__cause__)
    told = re.search(r"\bInputError: (.+)", str(error))
    return InputError(told[1]) if told else None
