"""Reproduces a comparison table: trains every row and seed, once, and prints it.

python reproduce.py resnet_na --budget=smoke           # minutes: proves the machinery
python reproduce.py resnet_na --budget=cpu --data_dir=DIR     # hours on two cores
python reproduce.py vit --budget=cpu --seeds=3 --only=ln,lng_8

What is finished is read, not repeated, and an interrupted run continues: call it again.
The table, its pictures and one record a run are in results/TABLE/BUDGET.
"""

import os
import pathlib
import signal
import sys

from absl import flags

from experiments.catalog import TABLES, reproduce
from zoo.errors import fail

FLAGS = flags.FLAGS
flags.DEFINE_enum(
    "budget",
    "smoke",
    ["smoke", "cpu", "full"],
    "smoke: minutes, proves the machinery. cpu: two cores, hours. full: the "
    "paper-sized schedule, for an accelerator. Default smoke: nothing long starts by "
    "accident.",
)
flags.DEFINE_integer(
    "seeds",
    None,
    "Runs a row, seeds 0 to N - 1. Default: the budget's own number.",
    lower_bound=1,
)
flags.DEFINE_list(
    "only",
    [],
    "Names of rows to run, in this order, with commas. Default: all rows. Of cost and "
    "robustness, which measure the rows of two tables, also TABLE or TABLE/ROW.",
)
flags.DEFINE_string(
    "data_dir",
    None,
    "Folder of the data, as train.py's. Default: LNG_KERAS_DATA_DIR, or train.py's.",
)
flags.DEFINE_string(
    "output",
    None,
    "Folder of the table. Default results/TABLE/BUDGET; smoke: runs/smoke/TABLE/smoke, "
    "which git ignores.",
)


def main(argv):
    names = _parse(argv)
    # As Ctrl-C: train.py saves its state before this program ends.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    if len(names) != 1 or names[0] not in TABLES:
        fail(f"give one table: {', '.join(TABLES)}. Received: {' '.join(names)}")
    table, budget = names[0], FLAGS.budget
    if FLAGS.data_dir:
        os.environ["LNG_KERAS_DATA_DIR"] = str(
            pathlib.Path(FLAGS.data_dir).expanduser().resolve()
        )
    try:
        page, output = reproduce(table, budget, FLAGS.seeds, FLAGS.only, FLAGS.output)
        print(page)
    except KeyboardInterrupt:
        fail("interrupted; the same command continues", status=130)
    except (ValueError, RuntimeError, OSError, ImportError) as error:
        if os.environ.get("LNG_KERAS_TRACEBACK"):
            raise
        fail(error, status=1)
    print(f"In {FLAGS.output or os.path.relpath(output)}.")


def _parse(argv):
    if {"--help", "-h", "-help", "--helpfull"} & set(argv[1:]):
        print(__doc__)
        print(FLAGS.module_help(sys.modules[__name__]))
        sys.exit(0)
    try:
        return FLAGS(argv)[1:]
    except flags.Error as error:
        return fail(error)


if __name__ == "__main__":
    main(sys.argv)
