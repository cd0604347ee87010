"""Joins the other workers of a run, on the engine that trains."""

import contextlib
import importlib
import os

import keras

from zoo.devices.lookout import Lookout


@contextlib.contextmanager
def join():
    """Meets the other workers; yields this one. Waits for all to start.

    Raises:
        UsageError: if the environment names no workers, or not all of them came.
        WorkerLost: if one of them ended before the others.
    """
    engine = _engine()
    with engine.join() as worker, Lookout(worker, _chief_host()):
        if not worker.chief:  # one console is enough
            silence = open(os.devnull, "w")  # noqa: SIM115, as long as the run
            with silence, contextlib.redirect_stdout(silence):
                yield worker
        else:
            yield worker


def _engine():
    return importlib.import_module(f"zoo.devices.workers.{keras.backend.backend()}")


def _chief_host():
    """The chief's host name, or None where the engine found it by itself."""
    if keras.backend.backend() == "tensorflow":
        first = _engine().cluster()[0]
    else:
        variables = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "JAX_COORDINATOR_ADDRESS")
        first = next(filter(None, map(os.environ.get, variables)), "")
    return first.split(",")[0].rpartition(":")[0] or None
