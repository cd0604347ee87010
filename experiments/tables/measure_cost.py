"""Measures one model in a process of its own and prints the numbers as JSON.

    python -m experiments.tables.measure_cost '{"model": "vit", ..., "repeats": 20}'

It is given flags of train.py and how often to repeat. `"against"` holds the flags of a
reference whose calls are made in turn with the model's: what slows the machine for a
while slows both, and the ratio of their times tells them apart sooner than the times.

A process of its own, because peak memory is that of the process.
"""

import json
import platform
import resource
import statistics
import sys

from experiments.machinery import timing
from zoo.training.settings import Settings


def main(argument):
    from lng_keras._base.timing import WARM_UP, in_turns

    flags = json.loads(argument)
    repeats, against = flags.pop("repeats"), flags.pop("against", None)
    calls, measured = _prepare(flags)
    started = _resident()
    for call in calls.values():
        for _ in range(WARM_UP):
            call()
    measured["memory_mb"] = (_resident() - started) / 2**20  # of this model alone
    others = {} if against is None else _prepare(against)[0]
    for name, call in calls.items():
        turns = {"this": call, "other": others[name]} if others else {"this": call}
        seconds = in_turns(turns, repeats)
        measured[f"{name}_ms"] = 1000 * statistics.median(seconds["this"])
        if others:
            ratio, *_ = timing.ratio(seconds["this"], seconds["other"])
        measured[f"{name}_ratio"] = ratio if others else 1.0
    print(json.dumps(measured))


def _prepare(flags):
    """Returns what is timed of a model, dict name -> function, and its facts."""
    import keras

    from lng_keras._base import machine
    from zoo import data
    from zoo.data import batches
    from zoo.training import assembly, completion

    # As train.py trains with these flags: compiled, and computed, in the same way.
    on_host = {"data_on_device": "false", "steps_per_execution": 1}
    sample = data.load()  # the bundled images: their size is all that counts
    settings = completion.complete(Settings.from_record(flags | on_host), sample)
    keras.utils.set_random_seed(settings.seed)
    model = assembly.build(settings, sample, steps=100)
    made = batches.Batches(
        *(sample.train.images, sample.train.labels, len(sample.class_names)),
        *(settings.batch_size, settings.seed),
        epoch=0,
    )
    images, labels = made.make(0)  # alone: threads would make the next ones meanwhile
    backend = keras.backend.backend()
    calls = {
        # train_on_batch returns the loss, so a step has ended when it returns.
        "step": lambda: model.train_on_batch(images, labels),
        "predict": lambda: model.predict_on_batch(images),
        "latency": lambda: model.predict_on_batch(images[:1]),
    }
    return calls, {
        "batch_size": settings.batch_size,
        "parameters": model.count_params(),
        "backend": backend,
        "compiled": bool(settings.jit_compile),
        "python": platform.python_version(),
        "versions": machine.versions(),
        "processor": machine.accelerator(backend) or machine.processor(),
        "cores": machine.cores(),
    }


def _resident():
    """Returns the largest memory of this process so far in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    main(sys.argv[1])
