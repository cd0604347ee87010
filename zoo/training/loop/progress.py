"""A progress bar for a whole run: images a second and time left."""

import sys

from tqdm import tqdm


class Progress:
    """Shows the bar on a terminal; elsewhere prints lines alone.

    Args:
        epochs, steps, batch_size: ints; steps an epoch, images a step.
        checkpoint: `(arrays, meta)` that the run goes on from, or None.
    """

    def __init__(self, epochs, steps, batch_size, checkpoint=None):
        position = checkpoint[1]["position"] if checkpoint else {"epoch": 0, "batch": 0}
        self._steps, self._batch_size = steps, batch_size
        self._bar = tqdm(
            total=epochs * steps * batch_size,
            initial=(position["epoch"] * steps + position["batch"]) * batch_size,
            unit=" images",
            unit_scale=True,
            smoothing=0.05,
            dynamic_ncols=True,
            file=sys.stdout,
            disable=not sys.stdout.isatty(),
        )

    def on_batch(self, epoch, batch, loss):
        """Moves to `batch` batches done of `epoch` (from 1); `loss` is their mean."""
        images = ((epoch - 1) * self._steps + batch) * self._batch_size
        self._bar.set_description(f"epoch {epoch} loss {loss:.4f}", refresh=False)
        self._bar.update(images - self._bar.n)

    def say(self, line):
        """Prints a line above the bar."""
        tqdm.write(line, file=sys.stdout)
        sys.stdout.flush()

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._bar.close()
