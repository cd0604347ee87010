"""Ends a program of the command line with one line instead of a traceback.

Imports no backend, so that a mistake in the flags is answered at once.
"""

import contextlib
import os
import re
import sys

DIVERGED = 3  # exit status of a training whose loss is not finite


class NonFiniteLoss(RuntimeError):
    """The loss or a weight became infinite or NaN."""


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


@contextlib.contextmanager
def in_one_line():
    """Ends the program with one line for what a user can mend, while entered.

    LNG_KERAS_TRACEBACK in the environment shows where it came from instead.
    """
    try:
        yield
    except OSError as error:  # full disk, read-only folder
        fail(f"{error}; earlier checkpoints are intact", status=1)
    except (ValueError, NonFiniteLoss) as error:
        # Our own errors are one line that says what to do. Others come from Keras or a
        # data library and mean that the flags do not fit together.
        if os.environ.get("LNG_KERAS_TRACEBACK"):
            raise
        fail(error, DIVERGED if isinstance(error, NonFiniteLoss) else 2)
    except ModuleNotFoundError as error:
        fail(
            f"the package {error.name} is not installed; install it, or choose a "
            "backend that is: KERAS_BACKEND=tensorflow, jax or torch (pip install "
            "'.[train]', '.[jax]' or '.[torch]')"
        )
    except ImportError as error:  # of an extra, which it names
        fail(error)
    except Exception as error:
        # TensorFlow's, of an image that cannot be read in the middle of an epoch, say.
        if told := within(error):
            fail(told)
        raise
