"""Calls of train.py within the process of a test."""

import contextlib
import io

import train
from zoo.training import flags as train_flags

TINY = (
    *("--model=ln_net", "--depth=1", "--width=8", "--group_size=4", "--norm=lng"),
    *("--batch_size=8", "--epochs=1"),
)


def error_line(*flags):
    """Returns the error of a run that must end with status 2 and one line."""
    train_flags.FLAGS.unparse_flags()
    printed, status = io.StringIO(), 0
    with contextlib.redirect_stderr(printed):
        try:
            train.main(["train.py", *TINY, *map(str, flags)])
        except SystemExit as end:
            status = end.code
        finally:
            train_flags.FLAGS.unparse_flags()
    assert status == 2, printed.getvalue()
    lines = printed.getvalue().splitlines()
    [line] = [line for line in lines if line.startswith("error: ")]
    return line
