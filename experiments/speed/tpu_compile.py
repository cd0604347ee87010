"""Compiles the TPU kernel for a v5e without having one, and reads its memory traffic.

    pip install "jax[cpu]" libtpu
    python -m experiments.speed.tpu_compile                 the matrix: all must compile
    python -m experiments.speed.tpu_compile --channels=768 --rows=65536

For every width, group size, dtype and pass: bytes moved over the least possible
(operands read once, results written once), the largest temporary, and two floors for
the time of a v5e chip: memory (819 GB/s) and matrix units (197 TFLOP/s in bfloat16,
the figures of Google's documentation of the v5e). Compiling says nothing of speed.
"""

import argparse
import os
import sys

from experiments.machinery import files
from experiments.speed.tpu import BYTES_PER_SECOND, ENVIRONMENT, FLOPS_PER_SECOND

os.environ.update(ENVIRONMENT)

CHANNELS = (64, 192, 384, 768, 1024, 4096)
GROUP_SIZES = (2, 4, 8, 16, 32, 64, 0)


def main():
    parser = argparse.ArgumentParser(
        prog="python -m experiments.speed.tpu_compile",
        description="Compiles the TPU kernel for a described v5e.",
    )
    parser.add_argument("--channels", type=int, nargs="+", default=CHANNELS)
    parser.add_argument("--group_size", type=int, nargs="+", default=GROUP_SIZES)
    parser.add_argument("--rows", type=int, default=8192, help="rows of the input")
    parser.add_argument("--output", default="results/kernels/tpu_compile.csv")
    arguments = parser.parse_args()
    try:
        from jax.experimental import topologies

        topology = topologies.get_topology_desc("v5e:2x2", platform="tpu")
    except Exception as error:
        sys.exit(f"No TPU compiler: {str(error).splitlines()[0]}. pip install libtpu")
    rows = []
    for channels in arguments.channels:
        sizes = dict.fromkeys(s or channels for s in arguments.group_size)
        for size in (s for s in sizes if channels % s == 0):
            for dtype in ("float32", "bfloat16"):
                for backward in (False, True):
                    row = compile_one(
                        topology, arguments.rows, channels, size, dtype, backward
                    )
                    rows.append(row)
                    print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)
    files.write_csv(arguments.output, rows)
    worst = max(row["traffic"] for row in rows)
    print(f"{len(rows)} programs compiled; at most {worst} times the least traffic.")
    print(f"Rows spread over four chips, with gradients: {collectives(topology)}.")


def compile_one(topology, rows, channels, size, dtype, backward):
    import jax
    import jax.numpy as jnp

    from lng_keras.kernels import pallas
    from lng_keras.kernels.spec import Spec

    device = jax.sharding.SingleDeviceSharding(topology.devices[0])

    def argument(shape, dtype):
        return jax.ShapeDtypeStruct(shape, dtype, sharding=device)

    groups = channels // size
    spec = Spec(groups, (1,), 1e-5, True)
    x, weight = argument((rows, channels), dtype), argument((channels,), "float32")
    if backward:
        inputs = (x, weight, x)
        function = jax.jit(lambda x, g, dy: pallas.backward(x, g, dy, groups, spec))
    else:
        inputs = (x, weight, weight)
        function = jax.jit(lambda x, g, b: pallas.forward(x, g, b, groups, spec))
    compiled = function.trace(*inputs).lower(lowering_platforms=("tpu",)).compile()
    memory = compiled.memory_analysis()
    item = jnp.dtype(dtype).itemsize
    arrays = 3 if backward else 2
    least = arrays * rows * channels * item + 3 * channels * 4
    # The compiler does not count inside the kernel, which reads its operands and
    # writes its results once; what it does count is what surrounds the kernel.
    around = compiled.cost_analysis().get("bytes accessed", 0.0)
    if around >= least:  # this compiler counted the kernel's arrays as well
        moved = around
    else:
        moved = least + around
    products = products_per_tile(dtype, backward) if size != channels else 0
    flops = 2.0 * rows * channels * pallas.tile_width(channels, size) * products
    return {
        "channels": channels,
        "group_size": size,
        "dtype": dtype,
        "pass": "backward" if backward else "forward",
        "rows": rows,
        "traffic": round(moved / least, 3),
        "temporary_bytes": memory.temp_size_in_bytes,
        "x_bytes": rows * channels * item,
        "memory_floor_ms": round(least / BYTES_PER_SECOND * 1e3, 4),
        "matrix_floor_ms": round(flops / FLOPS_PER_SECOND * 1e3, 4),
    }


def collectives(topology):
    """The collectives of a layer and its gradients, its rows over four chips."""
    import re

    import jax
    import numpy as np

    from lng_keras.kernels import jax as kernel
    from lng_keras.kernels.spec import Spec

    kernel._interpreted = lambda: False  # compiled for a TPU, though none is here
    mesh = jax.sharding.Mesh(np.array(topology.devices), ("batch",))
    spec = Spec(96, (1, 2), 1e-5, True)

    def gradients(x, gamma, beta, dy):
        normalize = kernel.over(mesh)
        y, vjp = jax.vjp(lambda *a: normalize(kernel._Pallas, spec, *a), x, gamma, beta)
        return y, vjp(dy)

    def argument(shape, *axes):
        sharding = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
        return jax.ShapeDtypeStruct(shape, "float32", sharding=sharding)

    x, weight = argument((8192, 1, 768), "batch"), argument((768,))
    lowered = jax.jit(gradients).trace(x, weight, weight, x)
    text = lowered.lower(lowering_platforms=("tpu",)).compile().as_text()
    names = "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter"
    found = re.findall(rf"= (.+?) ({names})(?:-start)?\(", text)
    return ", ".join(f"{name} of {shape}" for shape, name in found) or "none"


def products_per_tile(dtype, backward):
    """bfloat16 products of a tile: three means of its parts, and two of two parts."""
    statistics = 3 * (3 if dtype == "float32" else 2)
    return statistics + (4 if backward else 0)


if __name__ == "__main__":
    main()
