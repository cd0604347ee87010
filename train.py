"""Trains an image classifier of the zoo and writes a run's folder.

python train.py --model=vit --norm=lng            # the bundled sample, a few minutes
python train.py --flagfile=examples/vit_cifar10.flags --data_dir=DIR --seed=3
python train.py --resume --run_dir=runs/NAME      # goes on with an interrupted run
python train.py --evaluate=runs/NAME/model.keras

The backend is chosen by KERAS_BACKEND (tensorflow, jax or torch) before Python starts.
Exit status: 0, finished; 2, a mistake, told in one line; 3, the loss is not finite;
1, the disk refused; 128 + N, stopped by signal N, and --resume goes on.
"""

import os
import sys
import time

from zoo.errors import fail, in_one_line
from zoo.training import early, flags

# Keras and its backend take seconds to import: they wait until the flags are read.


def main(argv):
    started = time.time()
    settings, given = flags.parse(argv)
    backend = os.environ.get("KERAS_BACKEND", "tensorflow")
    if backend not in ("tensorflow", "jax", "torch"):
        fail(f"KERAS_BACKEND={backend} does not train; give tensorflow, jax or torch")
    with in_one_line():
        early.check(settings, given, argv)
        import lng_keras  # noqa: F401, before Keras: it quiets TensorFlow

        if settings.evaluate:
            from zoo.training import saved

            status = saved.evaluate(settings, given)
        else:
            from zoo.training import session

            status = session.run(settings, given, started)
    if status:
        sys.exit(status)


if __name__ == "__main__":
    main(sys.argv)
