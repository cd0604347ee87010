"""Latency of inference calls, and what the machine was.

Candidates are timed in turns: what slows the machine for a while slows all of them.
"""

import platform
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import numpy as np

from lng_keras._base import machine, timing


def modes(compiled: bool | None = None) -> dict[str, bool]:
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


def callable_of(
    layer: keras.layers.Layer, inputs: Any, compiled: bool
) -> Callable[[], object]:
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


def time_in_turns(
    functions: Mapping[str, Callable[[], object]],
    repeats: int = 30,
    seconds: float = 2.0,
) -> dict[str, dict[str, Any]]:
    """Times functions in turns, after warm-up.

    Args:
        functions: dict of functions without arguments.
        repeats: int, calls of each; at least 5.
        seconds: float, stop early once each took this long in sum, with 5 calls done.

    Returns:
        dict, name -> `{"median_ms", "q25_ms", "q75_ms", "repeats"}`.
    """
    times = timing.in_turns(functions, max(repeats, timing.LEAST), seconds=seconds)
    return {name: summary(values) for name, values in times.items()}


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    """Median and quartiles in milliseconds."""
    q25, median, q75 = np.percentile(np.asarray(seconds) * 1e3, [25, 50, 75])
    return {
        "median_ms": float(median),
        "q25_ms": float(q25),
        "q75_ms": float(q75),
        "repeats": len(seconds),
    }


def environment() -> dict[str, Any]:
    """What ran: backend, versions, device and threads."""
    backend = keras.config.backend()
    module = __import__(backend)
    return {
        "backend": backend,
        "backend_version": str(getattr(module, "__version__", "unknown")),
        "keras": keras.version(),
        "device": machine.accelerator(backend) or f"CPU {machine.processor()}",
        "threads": machine.threads(backend),
        "python": platform.python_version(),
    }
