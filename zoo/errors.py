"""Ends a program of the command line with one line instead of a traceback.

Imports no backend, so that a mistake in the flags is answered at once.
"""

import re
import sys


def fail(message, status=2):
    """Ends the program with one line on stderr."""
    print(f"error: {' '.join(str(message).split())}", file=sys.stderr, flush=True)
    sys.exit(status)


def within(error):
    """Returns the UsageError that another error wraps, or None.

    TensorFlow asks for batches through C++ and gives back what they raise as text of
    an error of its own: "... UsageError: the message" and a traceback.
    """
    from lng_keras._base.errors import UsageError

    if isinstance(error, UsageError):
        return error
    if error.__cause__ is not None:
        return within(error.__cause__)
    told = re.search(r"\bUsageError: (.+)", str(error))
    return UsageError(told[1]) if told else None
