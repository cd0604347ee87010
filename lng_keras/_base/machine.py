"""What numbers are measured on: processor, cores, devices, versions, other programs."""

import importlib.metadata
import os
import platform
import time
from collections.abc import Iterable

PACKAGES = ("keras", "tensorflow", "tensorflow-cpu", "jax", "torch", "numpy")


def processor() -> str:
    """Returns the processor's name where the system tells it, or its kind."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine() or "unknown"


def cores() -> int:
    """Returns the number of cores this process may use: not always the machine's."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def accelerator(backend: str) -> str | None:
    """Returns the name of the first GPU or TPU of a Keras backend, or None."""
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        return None if device.platform == "cpu" else device.device_kind
    if backend == "tensorflow":
        import tensorflow as tf

        gpus = tf.config.list_physical_devices("GPU")
        if gpus:
            details = tf.config.experimental.get_device_details(gpus[0])
            return details.get("device_name", "GPU")
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            return torch.cuda.get_device_name()
    return None


def devices(backend: str) -> list[str]:
    """Returns the names of all devices that a Keras backend computes on."""
    if backend == "jax":
        import jax

        return [f"{device.platform}:{device.device_kind}" for device in jax.devices()]
    if backend == "torch":
        import torch

        if torch.cuda.is_available():
            count = torch.cuda.device_count()
            return [torch.cuda.get_device_name(i) for i in range(count)]
        return ["cpu"]
    import tensorflow as tf

    return [device.name for device in tf.config.list_logical_devices()]


def threads(backend: str) -> int:
    """Returns how many threads a Keras backend computes an operation with."""
    if backend == "torch":
        import torch

        return torch.get_num_threads()
    if backend == "tensorflow":
        import tensorflow as tf

        chosen = tf.config.threading.get_intra_op_parallelism_threads()
        if chosen:
            return chosen
    return cores()


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Returns dict package -> version, of those that are installed."""
    found = {}
    for package in packages:
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


class Others:
    """How much other programs compute from now on.

    From the kernel's count of all work and this process' own: the load average would
    still remember what ended a minute ago.
    """

    def __init__(self):
        self.start = self._now()

    def cpus(self) -> float | None:
        """CPUs in use by other programs since the start, or None where not known."""
        if self.start is None:
            return None
        wall, all_, own = (b - a for a, b in zip(self.start, self._now(), strict=True))
        return round(max(0.0, all_ - own) / max(wall, 1e-9), 2)

    @staticmethod
    def _now():
        try:
            with open("/proc/stat") as file:
                ticks = [int(value) for value in file.readline().split()[1:9]]
        except (OSError, ValueError):
            return None
        user, nice, system, _, _, interrupts, soft, steal = ticks
        busy = user + nice + system + interrupts + soft + steal
        own = time.process_time()
        return time.perf_counter(), busy / os.sysconf("SC_CLK_TCK"), own
