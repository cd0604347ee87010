"""Measures one model in a process of its own and prints the numbers as JSON.

    python -m tables.measure_cost '{"flags": {...}, "repeats": 20}'

A process of its own, because peak memory is that of the process.
"""

import json
import resource
import statistics
import sys
import time


def main(argument):
    request = json.loads(argument)
    flags, repeats = request["flags"], request["repeats"]
    import keras
    import numpy as np

    import zoo
    from zoo import optimization

    keras.utils.set_random_seed(0)
    names = zoo.arguments(flags["model"]) | dict.fromkeys(("groups", "group_size"))
    model = zoo.build(
        flags["model"],
        norm=flags["norm"],
        **{name: flags[name] for name in names if name in flags},
    )
    optimization.compile_model(
        model,
        jit_compile=keras.backend.backend() != "torch",
        total_steps=1000,
        **{
            name: flags[name]
            for name in ("optimizer", "weight_decay", "label_smoothing", "clip_norm")
        },
        learning_rate=1e-3,
    )
    rng = np.random.default_rng(0)
    batch = flags["batch_size"]
    images = rng.normal(size=(batch, 32, 32, 3)).astype("float32")
    labels = np.eye(10, dtype="float32")[rng.integers(0, 10, batch)]
    started = _resident()
    measured = {
        # train_on_batch returns the loss, so a step has ended when it returns.
        "step_ms": _median(lambda: model.train_on_batch(images, labels), repeats),
        "predict_ms": _median(lambda: model.predict_on_batch(images), repeats),
        "latency_ms": _median(lambda: model.predict_on_batch(images[:1]), repeats),
    }
    measured |= {
        "batch_size": batch,
        "memory_mb": (_resident() - started) / 2**20,
        "parameters": model.count_params(),
        "backend": keras.backend.backend(),
        "keras": keras.__version__,
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
