"""What a table of times says: ratios, and what they were measured on."""

import platform
import statistics

from experiments.machinery import files


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
        "versions": machine.versions((*machine.PACKAGES, "timm")),
    }


def write(path, found):
    """Writes a result as JSON, whole or not at all, and says where."""
    files.write_json(path, found)
    print(f"Written to {path}")
