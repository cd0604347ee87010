"""Measures one model in a process of its own and prints the numbers as JSON.

    python -m tables.measure_cost '{"model": "vit", ..., "repeats": 20}'

It is given flags of train.py, and how often to repeat.

A process of its own, because peak memory is that of the process.
"""

import json
import resource
import statistics
import sys
import time

import train_flags
from tables import runs


def main(argument):
    flags = json.loads(argument)
    repeats = flags.pop("repeats")
    train_flags.parse(["train.py", *runs.arguments(flags)])
    import keras

    from lng_keras import machine
    from zoo import assembly, batches, data

    # As train.py trains with these flags: compiled, and computed, in the same way.
    settings = assembly.resolve(train_flags.settings())
    settings |= {"data_on_device": "false", "steps_per_execution": 1}
    keras.utils.set_random_seed(settings["seed"])
    sample = data.load()  # the bundled images: their size is all that counts
    model = assembly.build(settings, sample, steps=100)
    made = batches.Batches(
        *(sample.train.images, sample.train.labels, len(sample.class_names)),
        *(flags["batch_size"], settings["seed"]),
        epoch=0,
    )
    images, labels = made.make(0)  # alone: threads would make the next ones meanwhile
    started = _resident()
    measured = {
        # train_on_batch returns the loss, so a step has ended when it returns.
        "step_ms": _median(lambda: model.train_on_batch(images, labels), repeats),
        "predict_ms": _median(lambda: model.predict_on_batch(images), repeats),
        "latency_ms": _median(lambda: model.predict_on_batch(images[:1]), repeats),
    }
    measured |= {
        "batch_size": flags["batch_size"],
        "memory_mb": (_resident() - started) / 2**20,
        "parameters": model.count_params(),
        "backend": keras.backend.backend(),
        "compiled": bool(settings["jit_compile"]),
        "keras": keras.__version__,
        "processor": machine.processor(),
        "cores": machine.cores(),
    }
    print(json.dumps(measured))


def _median(function, repeats):
    """Returns the median milliseconds of a call, after two that compile and warm up."""
    times = []
    for i in range(repeats + 2):
        started = time.perf_counter()
        function()
        if i >= 2:
            times.append(1000 * (time.perf_counter() - started))
    return statistics.median(times)


def _resident():
    """Returns the largest memory of this process so far in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


if __name__ == "__main__":
    main(sys.argv[1])
