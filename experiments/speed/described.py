"""Programs compiled for accelerators that are not there, and the bytes they move.

    v=$(python -c 'import jax; print(jax.__version__)')
    pip install --no-deps --target=DIR libtpu jax-cuda13-plugin==$v \\
        jax-cuda13-pjrt==$v nvidia-cuda-nvcc nvidia-nvvm nvidia-cuda-crt
    export LNG_KERAS_COMPILERS=DIR

The compilers take a description of the card. What a program moves, which kernels it has
and what it holds in between can be checked anywhere; its speed cannot.
"""

import functools
import os
import re
import sys
from typing import Any, NamedTuple

from experiments.speed import tpu

# What NVIDIA's driver says of an H100 SXM.
H100 = """
gpu_device_info {
  threads_per_block_limit: 1024 threads_per_warp: 32
  shared_memory_per_block: 49152 shared_memory_per_core: 233472
  threads_per_core_limit: 2048 core_count: 132 fpus_per_core: 128
  block_dim_limit_x: 2147483647 block_dim_limit_y: 65535 block_dim_limit_z: 65535
  thread_dim_limit_x: 1024 thread_dim_limit_y: 1024 thread_dim_limit_z: 64
  memory_bandwidth: 3352320000000 l2_cache_size: 52428800 clock_rate_ghz: 1.98
  device_memory_size: 84942979072 shared_memory_per_block_optin: 232448
  cuda_compute_capability { major: 9 minor: 0 }
  registers_per_core_limit: 65536 registers_per_block_limit: 65536
  device_address_bits: 64 driver_version: "13.0.0" runtime_version: "13.0.0"
  compile_time_toolkit_version: "13.0.0" dnn_version: "9.10.0"
}
platform_name: "CUDA"
dnn_version_info { major: 9 minor: 10 patch: 0 }
"""


class Program(NamedTuple):
    """What a compiled program does with memory.

    moved: bytes that its kernels read and write.
    temporary: bytes it holds beside its arguments and results.
    kernels: how many kernels and copies it starts.
    gathered: how often it collects an array from other devices.
    """

    moved: float
    temporary: int
    kernels: int
    gathered: int


def _find_compilers():
    # Beside what is installed, where JAX would take them for devices of this machine.
    folder = os.environ.get("LNG_KERAS_COMPILERS")
    if folder and folder not in sys.path:
        sys.path.append(folder)


@functools.cache
def h100() -> Any:
    """A described H100; ImportError without the plugin."""
    _find_compilers()
    import jax_plugins.xla_cuda13 as plugin
    from jax.sharding import SingleDeviceSharding
    from jaxlib import xla_client

    folder = os.path.dirname(plugin.__file__)
    library = os.path.join(folder, "xla_cuda_plugin.so")
    api = xla_client.load_pjrt_plugin_dynamically("cuda_described", library)
    topology = xla_client.make_c_api_device_topology(
        api, "1x1x1", target_config=H100, topology="1x1x1"
    )
    return SingleDeviceSharding(topology._make_compile_only_devices()[0])


@functools.cache
def v5e() -> Any:
    """Four described chips of a TPU v5e, `(2, 2)`; ImportError without libtpu."""
    import importlib.util

    import numpy as np

    _find_compilers()
    if importlib.util.find_spec("libtpu") is None:
        raise ImportError("libtpu is not installed")
    os.environ.update(tpu.ENVIRONMENT)  # libtpu would ask a server which TPU this is
    from jax.experimental import topologies

    topology = topologies.get_topology_desc("v5e:2x2", platform="tpu")
    return np.array(topology.devices).reshape(2, 2)


def compiled(fn: Any, *arguments: Any, platform: str) -> Program:
    """Compiles `fn` for `jax.ShapeDtypeStruct`s that lie on described devices."""
    import jax

    traced = jax.jit(fn).trace(*arguments)
    program = traced.lower(lowering_platforms=(platform,)).compile()
    text = program.as_text()
    temporary = program.memory_analysis().temp_size_in_bytes
    gathered = len(re.findall(r" all-(?:gather|to-all)(?:-start)?\(", text))
    moved, kernels = _moved(text)
    if platform == "tpu":
        # A kernel that is not XLA's is left out of its count: operands and results.
        kernels = text.count("tpu_custom_call")
        of_kernels = _moved(text, only="custom-call")[0]
        moved = program.cost_analysis().get("bytes accessed", 0.0) + of_kernels
    return Program(moved, temporary, kernels, gathered)


_SIZES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s32": 4, "u32": 4}
_SIZES |= {"f32": 4, "f64": 8, "s64": 8}
_SHAPE = re.compile(r"\b(" + "|".join(_SIZES) + r")\[([\d,]*)\]")
_INSTRUCTION = re.compile(
    r"^\s+(?:ROOT )?%?([\w.\-]+) = (\([^=]*?\)|\S+) ([\w\-]+)\((.*?)\)", re.M
)
_FREE = ("parameter", "tuple", "get-tuple-element", "bitcast", "constant")


def _moved(text, only=None):
    """Bytes read and written by the instructions of the entry, and their number."""
    entry = text[text.index("\nENTRY ") :]
    found = _INSTRUCTION.findall(entry)
    results = {name: shape for name, shape, _, _ in found}
    total = kernels = 0
    for _, shape, operation, arguments in found:
        if operation in _FREE or only not in (None, operation):
            continue
        kernels += 1
        operands = re.sub(r"/\*.*?\*/|\w+\[[\d,]*\](?:\{[^}]*\})?", "", arguments)
        names = re.findall(r"%?([\w.\-]+)", operands)
        total += _bytes(shape) + sum(_bytes(results.get(n, "")) for n in names)
    return total, kernels


def _bytes(text):
    total = 0
    for kind, sizes in _SHAPE.findall(text):
        count = 1
        for size in filter(None, sizes.split(",")):
            count *= int(size)
        total += count * _SIZES[kind]
    return total
