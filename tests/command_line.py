"""train.py as a command, called in this process on a model of seconds."""

import train
from zoo.training import flags as train_flags

TINY = (
    *("--model=ln_net", "--depth=1", "--width=8", "--group_size=4", "--norm=lng"),
    *("--train_examples=32", "--batch_size=16", "--epochs=1"),
)


def call(*arguments):
    """Runs train.py in this process; returns its exit status."""
    train_flags.FLAGS.unparse_flags()
    try:
        train.main(["train.py", *map(str, arguments)])
    except SystemExit as end:
        return end.code
    return 0
