"""The error that train.py prints as one line instead of a traceback."""


class InputError(ValueError):
    """Something the user gave is wrong: a flag, a file, a folder.

    The message is one line: what is wrong, what was received, what to do.
    """
