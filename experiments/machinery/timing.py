"""Times functions side by side, in turn, and says on what."""

import json
import platform
import statistics
import time

from experiments.machinery import files

_PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy", "timm")


def interleaved(functions, repeats=21, warm_up=3):
    """Runs each function in turn, `repeats` times; returns seconds, a list for each.

    In turn, because the speed of a shared machine drifts: what is compared is
    measured at the same moment.

    Args:
        functions: dict name -> callable that returns when its work is done.
    """
    for function in functions.values():
        for _ in range(warm_up):
            function()
    seconds = {name: [] for name in functions}
    for _ in range(repeats):
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            seconds[name].append(time.perf_counter() - start)
    return seconds


def median(values):
    return statistics.median(values)


def ratio(seconds, baseline):
    """Median and quartiles of `seconds / baseline`, run by run."""
    ratios = sorted(a / b for a, b in zip(seconds, baseline, strict=True))
    low, middle, high = statistics.quantiles(ratios, n=4)
    return middle, low, high


def environment(backend):
    """One dict that says what the numbers were measured on."""
    from lng_keras._base import machine

    return {
        "backend": backend,
        "device": machine.accelerator(backend) or machine.processor(),
        "cores": machine.cores(),
        "python": platform.python_version(),
        "versions": machine.versions(_PACKAGES),
    }


def write(path, found):
    """Writes a result as JSON, whole or not at all, and says where."""
    files.write(path, json.dumps(found, indent=1) + "\n")
    print(f"Written to {path}")
