"""train.py as a command, called in this process on a model of seconds."""

import contextlib
import io

import keras

import train

TINY = (
    *("--model=ln_net", "--depth=1", "--width=8", "--group_size=4", "--norm=lng"),
    *("--train_examples=32", "--batch_size=16", "--epochs=1"),
)


def call(*arguments):
    """Runs train.py in this process; returns its exit status."""
    policy = keras.config.dtype_policy()
    try:
        train.main(["train.py", *map(str, arguments)])
    except SystemExit as end:
        return end.code
    finally:
        keras.config.set_dtype_policy(policy)
    return 0


def error_line(*arguments, status=2):
    """Returns the error of a call that must end with that status and one line."""
    printed = io.StringIO()
    with contextlib.redirect_stderr(printed):
        assert call(*arguments) == status, printed.getvalue()
    lines = [line for line in printed.getvalue().splitlines() if "error" in line]
    assert len(lines) == 1, printed.getvalue()
    assert lines[0].startswith("error: ")
    return lines[0]
