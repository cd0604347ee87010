"""What a process is to the run it trains: its only worker, or one of several."""

import contextlib


class Worker:
    """A process that trains a model, alone or with others.

    Args:
        devices: int, of all workers together: what shares a batch.
        index: int, which worker this is. Worker 0 is the chief.
        count: int, how many there are.
    """

    def __init__(self, devices=1, index=0, count=1):
        self.devices, self.index, self.count = devices, index, count

    @property
    def chief(self):
        return self.index == 0

    def batches(self, batches):
        """Returns what `fit` takes: this worker's part of `batches`."""
        return batches

    def before_fit(self, model):
        """Fits a compiled model to what `fit` does on this engine."""

    def predict(self, model, dataset):
        """Returns the outputs for a data set of whole batches, on every worker."""
        raise NotImplementedError

    def gather(self, number):
        """Returns the number that each worker gives, by index: a list of ints."""
        raise NotImplementedError


class Alone(Worker):
    """The only process of a run."""

    def predict(self, model, dataset):
        return model.predict(dataset.for_keras(), verbose=0)

    def gather(self, number):
        return [number]


_current = [Alone()]


def current():
    """Returns the `Worker` that this process is."""
    return _current[-1]


@contextlib.contextmanager
def acting_as(worker):
    _current.append(worker)
    try:
        yield
    finally:
        _current.pop()
