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
import sys
from typing import Any, NamedTuple

from experiments.speed import tpu, traffic

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

    from lng_keras._base.private.jax import compile_only_devices

    folder = os.path.dirname(plugin.__file__)
    library = os.path.join(folder, "xla_cuda_plugin.so")
    api = xla_client.load_pjrt_plugin_dynamically("cuda_described", library)
    topology = xla_client.make_c_api_device_topology(
        api, "1x1x1", target_config=H100, topology="1x1x1"
    )
    return SingleDeviceSharding(compile_only_devices(topology)[0])


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
    """Compiles a function of JAX for arguments that lie on described devices.

    Args:
        arguments: `jax.ShapeDtypeStruct`s with shardings.
        platform: "cuda" or "tpu".
    """
    import jax

    traced = jax.jit(fn).trace(*arguments)
    program = traced.lower(lowering_platforms=(platform,)).compile()
    text = program.as_text()
    moved, kernels = traffic.moved(text)
    if platform == "tpu":
        # A kernel that is not XLA's is left out of its count: operands and results.
        of_kernels, kernels = traffic.moved(text, only="custom-call")
        moved = program.cost_analysis().get("bytes accessed", 0.0) + of_kernels
    temporary = program.memory_analysis().temp_size_in_bytes
    return Program(moved, temporary, kernels, traffic.gathered(text))


def compiled_tensorflow(fn: Any, *specs: Any) -> Program:
    """Compiles `fn(*specs)` of a `tf.function(jit_compile=True)` for the H100.

    TensorFlow hands out its program before it is optimized; jaxlib reads it.
    """
    (device,) = h100().device_set
    import jaxlib._hlo as hlo
    import numpy as np
    import tensorflow as tf
    from jax.interpreters import mlir
    from jaxlib import _jax, xla_client

    function = tf.function(fn, jit_compile=True, autograph=False)
    text = function.experimental_get_compiler_ir(*specs)(stage="hlo")
    proto = hlo.hlo_module_from_text(text).as_serialized_hlo_module_proto()
    options = xla_client.CompileOptions()
    options.device_assignment = xla_client.DeviceAssignment.create(
        np.zeros((1, 1), np.int32)
    )
    with mlir.make_ir_context():
        module = mlir.ir.Module.parse(_jax.mlir.hlo_to_stablehlo(proto))
        devices = xla_client.DeviceList((device,))
        program = device.client.compile(module, devices, options)
    moved, kernels = traffic.moved(program.hlo_modules()[0].to_string())
    temporary = program.get_compiled_memory_stats().temp_size_in_bytes
    return Program(moved, temporary, kernels, gathered=0)
