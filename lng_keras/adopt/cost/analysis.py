"""FLOPs and memory of a function, from the analysis of the backend that runs it.

FLOPs
    jax: XLA's cost analysis of the compiled program, every operation.
    tensorflow: TensorFlow's profiler on the graph: matrix products, convolutions
        and those elementwise operations it has a formula for.
    torch: torch.utils.flop_counter: matrix products, convolutions, attention only.
Peak activation memory
    jax: XLA's buffer assignment, temporaries and outputs.
    tensorflow: liveness of the graph's tensors in the graph's order, nothing fused.
    torch: storages alive at once during one eager run.

So FLOPs compare within a backend, not between them, and a normalization costs none
by torch's count.
"""

import dataclasses
import warnings
from typing import Any

import keras
import numpy as np

from lng_keras._base.private.names import NameGone

FLOPS_SOURCE = {
    "jax": "XLA cost analysis, all operations",
    "tensorflow": "TensorFlow profiler, operations it has formulas for",
    "torch": "torch flop counter, products and convolutions only",
}
MEMORY_SOURCE = {
    "jax": "XLA buffer assignment, temporaries and outputs",
    "tensorflow": "liveness of graph tensors, unfused",
    "torch": "storages alive at once in an eager run",
}


@dataclasses.dataclass
class Analysis:
    """FLOPs and peak activation memory of one call.

    Attributes:
        flops: float or None where the backend does not say.
        activation_bytes: int or None; without weights and inputs.
    """

    flops: float | None
    activation_bytes: int | None


def sources() -> dict[str, str]:
    """Where the numbers of this backend come from, for the report."""
    backend = keras.config.backend()
    return {
        "flops": FLOPS_SOURCE.get(backend, "none"),
        "activation_bytes": MEMORY_SOURCE.get(backend, "none"),
    }


def analyze(layer: keras.layers.Layer, inputs: Any) -> Analysis:
    """Analyzes one inference call of a built layer or model.

    Args:
        layer: built `keras.layers.Layer` or model.
        inputs: arrays in the structure that `layer` takes, batch included.

    Returns:
        `Analysis`.
    """
    backend = keras.config.backend()
    by_backend = {"jax": _jax, "tensorflow": _tensorflow, "torch": _torch}
    if backend not in by_backend:
        return Analysis(None, None)
    return by_backend[backend](layer, inputs)


def _jax(layer, inputs):
    import jax

    def call(trainable, non_trainable, x):
        return layer.stateless_call(trainable, non_trainable, x)[0]

    states = [
        [v.value for v in variables]
        for variables in (layer.trainable_variables, layer.non_trainable_variables)
    ]
    compiled = jax.jit(call).lower(*states, inputs).compile()
    cost = compiled.cost_analysis() or {}
    cost = cost[0] if isinstance(cost, list) else cost
    memory = compiled.memory_analysis()
    peak = None
    if memory is not None:
        peak = int(memory.temp_size_in_bytes + memory.output_size_in_bytes)
    return Analysis(cost.get("flops"), peak)


def _tensorflow(layer, inputs):
    import tensorflow as tf

    from lng_keras._base.private.tensorflow import frozen

    specs = keras.tree.map_structure(
        lambda x: tf.TensorSpec(np.shape(x), np.asarray(x).dtype), inputs
    )
    function = tf.function(layer).get_concrete_function(specs)
    try:
        graph = frozen(function)
    except NameGone as error:
        warnings.warn(str(error), stacklevel=2)
        return Analysis(None, None)
    options = tf.compat.v1.profiler.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # the profiler warns of TensorFlow's own old functions
    try:
        profile = tf.compat.v1.profiler.profile(graph=graph, options=options)
    finally:
        logger.setLevel(level)
    return Analysis(float(profile.total_float_ops), _live_bytes(graph))


# What a graph holds besides activations.
_NOT_ACTIVATIONS = ("Const", "Placeholder", "NoOp")
# Views and pass-throughs: their output is their input's memory.
_ALIASES = ("Identity", "Reshape", "Squeeze", "ExpandDims", "StopGradient")


def _live_bytes(graph):
    """Most bytes alive at once if the operations run in the graph's order."""
    operations = list(graph.get_operations())
    last = {}

    def origin(tensor):
        while tensor.op.type in _ALIASES and tensor.op.inputs:
            tensor = tensor.op.inputs[0]
        return tensor.name

    for i, op in enumerate(operations):
        for tensor in op.inputs:
            last[origin(tensor)] = i
    ends = {}
    alive = peak = 0
    for i, op in enumerate(operations):
        if op.type not in _NOT_ACTIVATIONS and op.type not in _ALIASES:
            for tensor in op.outputs:
                size = _size(tensor)
                alive += size
                end = last.get(tensor.name, len(operations))
                ends.setdefault(end, []).append(size)
        peak = max(peak, alive)
        alive -= sum(ends.pop(i, ()))
    return int(peak)


def _size(tensor):
    if not tensor.shape.is_fully_defined() or not tensor.dtype.size:
        return 0
    return tensor.shape.num_elements() * tensor.dtype.size


def _torch(layer, inputs):
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    x = keras.tree.map_structure(keras.ops.convert_to_tensor, inputs)
    with torch.no_grad():
        with FlopCounterMode(display=False) as counter:
            layer(x)
        with _LiveStorages() as live:
            layer(x)
    return Analysis(float(counter.get_total_flops()), live.peak)


def _LiveStorages():
    """A torch dispatch mode that counts the bytes of storages while they live."""
    import weakref

    import torch
    from torch.utils._python_dispatch import TorchDispatchMode

    class Mode(TorchDispatchMode):
        alive = peak = 0

        def __init__(self):
            super().__init__()
            self.seen = set()

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            # What comes in is not made here: inputs, weights, and views of them.
            given = {
                tensor.untyped_storage().data_ptr()
                for tensor in keras.tree.flatten((args, kwargs))
                if isinstance(tensor, torch.Tensor)
            }
            outputs = function(*args, **(kwargs or {}))
            for tensor in keras.tree.flatten(outputs):
                if isinstance(tensor, torch.Tensor):
                    self.count(tensor.untyped_storage(), given)
            return outputs

        def count(self, storage, given):
            key, size = storage.data_ptr(), storage.nbytes()
            if key in self.seen or key in given:
                return
            self.seen.add(key)
            self.alive += size
            self.peak = max(self.peak, self.alive)
            weakref.finalize(storage, self.free, key, size)

        def free(self, key, size):
            self.seen.discard(key)
            self.alive -= size

    return Mode()
