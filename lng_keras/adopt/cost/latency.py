"""Latency of inference calls, and what the machine was.

Candidates are timed in turns, one call of each after the other, so that what slows
the machine for a while slows all of them.
"""

import os
import platform
import time

import keras
import numpy as np

from lng_keras._base import machine

WARM_UP = 3
LEAST = 5


def modes(compiled=None):
    """The ways a model is run here: name -> whether it goes through a compiler.

    Args:
        compiled: bool or None. None leaves out torch.compile, which takes minutes.
    """
    backend = keras.config.backend()
    names = {
        "tensorflow": ("graph", "XLA"),
        "jax": ("eager", "jit"),
        "torch": ("eager", "torch.compile"),
    }.get(backend, ("eager", None))
    wanted = {names[0]: False}
    if names[1] and (compiled or (compiled is None and backend != "torch")):
        wanted[names[1]] = True
    return wanted


def callable_of(layer, inputs, compiled):
    """Returns a function without arguments that runs `layer` and waits for it."""
    backend = keras.config.backend()
    x = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    if backend == "tensorflow":
        return _tensorflow(layer, x, compiled)
    if backend == "jax":
        return _jax(layer, x, compiled)
    if backend == "torch":
        return _torch(layer, x, compiled)
    return lambda: layer(x)


def _tensorflow(layer, x, compiled):
    import tensorflow as tf

    function = tf.function(layer.__call__, jit_compile=compiled)
    function = function.get_concrete_function(
        keras.tree.map_structure(lambda t: tf.TensorSpec(t.shape, t.dtype), x)
    )
    gpus = tf.config.list_physical_devices("GPU")

    def run():
        outputs = function(*keras.tree.flatten(x))
        if gpus:  # on a CPU, the call returns when it is done
            tf.test.experimental.sync_devices()
        return outputs

    return run


def _jax(layer, x, compiled):
    import jax

    if not compiled:
        return lambda: jax.block_until_ready(layer(x))
    states = [
        [v.value for v in variables]
        for variables in (layer.trainable_variables, layer.non_trainable_variables)
    ]
    function = jax.jit(lambda a, b, x: layer.stateless_call(a, b, x)[0])
    return lambda: jax.block_until_ready(function(*states, x))


def _torch(layer, x, compiled):
    import torch

    call = torch.compile(layer) if compiled else layer
    cuda = torch.cuda.is_available()

    def run():
        with torch.no_grad():
            call(x)
        if cuda:
            torch.cuda.synchronize()

    return run


def time_in_turns(functions, repeats=30, seconds=2.0):
    """Times functions in turns, after warm-up.

    Args:
        functions: dict of functions without arguments.
        repeats: int, calls of each; at least 5.
        seconds: float, stop early once each took this long in sum, with 5 calls done.

    Returns:
        dict, name -> `{"median_ms", "q25_ms", "q75_ms", "repeats"}`.
    """
    for function in functions.values():
        for _ in range(WARM_UP):
            function()
    times = {name: [] for name in functions}
    for i in range(max(repeats, LEAST)):
        if i >= LEAST and all(sum(t) > seconds for t in times.values()):
            break
        for name, function in functions.items():
            start = time.perf_counter()
            function()
            times[name].append(time.perf_counter() - start)
    return {name: summary(values) for name, values in times.items()}


def summary(seconds):
    """Median and quartiles in milliseconds."""
    q25, median, q75 = np.percentile(np.asarray(seconds) * 1e3, [25, 50, 75])
    return {
        "median_ms": float(median),
        "q25_ms": float(q25),
        "q75_ms": float(q75),
        "repeats": len(seconds),
    }


def environment():
    """What ran: backend, versions, device and threads."""
    backend = keras.config.backend()
    module = __import__(backend)
    return {
        "backend": backend,
        "backend_version": str(getattr(module, "__version__", "unknown")),
        "keras": keras.version(),
        "device": machine.accelerator(backend) or f"CPU {machine.processor()}",
        "threads": _threads(backend),
        "python": platform.python_version(),
    }


class Others:
    """How much other programs compute from now on.

    From the kernel's count of all work and this process' own: the load average would
    still remember what ended a minute ago.
    """

    def __init__(self):
        self.start = self._now()

    def cpus(self):
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


def _threads(backend):
    if backend == "torch":
        import torch

        return torch.get_num_threads()
    if backend == "tensorflow":
        import tensorflow as tf

        chosen = tf.config.threading.get_intra_op_parallelism_threads()
        if chosen:
            return chosen
    return machine.cores()
