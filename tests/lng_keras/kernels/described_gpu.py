"""What XLA makes of a program on an NVIDIA H100, on a machine that has none.

The compiler of `jax-cuda13-plugin` takes a described card. It compiles what it would
for a real one; how fast it is it cannot tell, but which bytes go through memory.
"""

import functools
import math
import os
import re

import pytest

H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32 shared_memory_per_block: 49152
  shared_memory_per_core: 233472 threads_per_core_limit: 2048 core_count: 132
  fpus_per_core: 128 block_dim_limit_x: 2147483647 block_dim_limit_y: 65535
  block_dim_limit_z: 65535 memory_bandwidth: 3352320000000 l2_cache_size: 52428800
  clock_rate_ghz: 1.98 device_memory_size: 84942979072
  shared_memory_per_block_optin: 232448 registers_per_core_limit: 65536
  cuda_compute_capability { major: 9 minor: 0 } registers_per_block_limit: 65536
  driver_version: "13.0.0" runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0" dnn_version: "9.10.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
"""
_SIZES = {"f64": 8, "s64": 8, "f32": 4, "s32": 4, "u32": 4, "bf16": 2, "f16": 2}
_SIZES |= {"s8": 1, "u8": 1, "pred": 1}
_TENSOR = re.compile(r"\b(" + "|".join(_SIZES) + r")\[([\d,]*)\]")
_FREE = {"parameter", "tuple", "get-tuple-element", "bitcast", "constant"}
_LINE = re.compile(
    r"^\s+(?:ROOT )?%?([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*?)\)(.*)", re.M
)
_NAME = re.compile(r"%?([\w.\-]+)")
_COMMENTS = re.compile(r"/\*.*?\*/|\w+\[[\d,]*\](?:\{[^}]*\})?")


@functools.cache
def h100():
    """The described card as a device of JAX; skips a test where it cannot be had."""
    plugin = pytest.importorskip("jax_plugins.xla_cuda13", reason="no CUDA compiler")
    from jaxlib import xla_client

    library = os.path.join(os.path.dirname(plugin.__file__), "xla_cuda_plugin.so")
    api = xla_client.load_pjrt_plugin_dynamically("cuda_described", library)
    topology = xla_client.make_c_api_device_topology(
        api, "1x1x1", target_config=H100, topology="1x1x1"
    )
    return topology._make_compile_only_devices()[0]


def compile_tensorflow(fn, *specs):
    """What XLA makes of `fn(*specs)` in a `tf.function(jit_compile=True)`.

    TensorFlow hands out its program before it is optimized; jaxlib reads it.
    """
    device = h100()
    import jaxlib._hlo as hlo
    import numpy as np
    import tensorflow as tf
    from jax._src.interpreters import mlir
    from jaxlib import _jax, xla_client

    compiled = tf.function(fn, jit_compile=True, autograph=False)
    text = compiled.experimental_get_compiler_ir(*specs)(stage="hlo")
    proto = hlo.hlo_module_from_text(text).as_serialized_hlo_module_proto()
    options = xla_client.CompileOptions()
    options.device_assignment = xla_client.DeviceAssignment.create(
        np.zeros((1, 1), np.int32)
    )
    with mlir.make_ir_context():
        module = mlir.ir.Module.parse(_jax.mlir.hlo_to_stablehlo(proto))
        devices = xla_client.DeviceList((device,))
        return device.client.compile(module, devices, options)


def bytes_moved(program):
    """Bytes that the kernels of an optimized program read and write.

    Each instruction of the entry is a kernel or a copy. Of an operand of which it only
    uses a slice, it reads the slice.
    """
    text = program.hlo_modules()[0].to_string()
    bodies = {}
    for body in text.split("\n\n"):
        head = body.lstrip().split("(", 1)[0].strip()
        bodies[head.removeprefix("ENTRY ").removeprefix("%").strip()] = body
    entry = _LINE.findall(next(b for b in bodies.values() if "ENTRY " in b))
    shapes = {name: shape for name, shape, *_ in entry}
    total = 0
    for _, shape, kind, arguments, rest in entry:
        if kind in _FREE:
            continue
        total += _bytes(shape)
        called = re.search(r"calls=%?([\w.\-]+)", rest)
        for i, name in enumerate(_names(arguments)):
            whole = _bytes(shapes.get(name, ""))
            sliced = _sliced(bodies[called[1]], i) if called else None
            total += whole if sliced is None else min(whole, sliced)
    return total


def temporaries(program):
    """Bytes of memory that a program needs beside its arguments and results."""
    return program.get_compiled_memory_stats().temp_size_in_bytes


def _sliced(body, number):
    """Bytes of the slices of a parameter, or None if anything else uses it."""
    lines = _LINE.findall(body)
    (start,) = (n for n, _, k, a, _ in lines if (k, a) == ("parameter", str(number)))
    itemsize = _bytes(next(s for n, s, *_ in lines if n == start).split("[")[0] + "[]")
    reached, total = {start}, 0
    for name, shape, kind, arguments, _ in lines:
        if reached.isdisjoint(_names(arguments)):
            continue
        if kind in ("bitcast", "convert"):
            reached.add(name)
        elif kind == "slice":
            total += itemsize * math.prod(map(int, _TENSOR.search(shape)[2].split(",")))
        else:
            return None
    return total


def _names(arguments):
    return _NAME.findall(_COMMENTS.sub("", arguments))


def _bytes(text):
    return sum(
        _SIZES[kind] * math.prod(int(n) for n in sizes.split(",") if n)
        for kind, sizes in _TENSOR.findall(text)
    )
