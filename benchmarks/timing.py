"""Times functions side by side, in turn, and says on what."""

import json
import os
import platform
import statistics
import time

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
    import importlib.metadata as metadata

    versions = {}
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "backend": backend,
        "device": device(backend),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": versions,
    }


def device(backend):
    """The name of the accelerator, or of the processor."""
    if backend == "jax":
        import jax

        if jax.default_backend() != "cpu":
            return jax.devices()[0].device_kind
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    try:
        with open("/proc/cpuinfo") as file:
            names = [line for line in file if line.startswith("model name")]
        return names[0].split(":", 1)[1].strip()
    except (OSError, IndexError):
        return platform.processor() or platform.machine()


def write(path, found):
    """Writes a result as JSON, whole or not at all, and says where."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path + ".tmp", "w") as file:
        json.dump(found, file, indent=1)
    os.replace(path + ".tmp", path)
    print(f"Written to {path}")
