"""Compiles the layer for a described H100 and TPU v5e; tells what it moves there.

    python -m experiments.speed.compiled
    python -m experiments.speed.compiled --card=h100 --group_size 8 --keras

Needs no accelerator, only the compilers: see `experiments.speed.described`. For each
input, group size, dtype and pass: bytes moved over the least possible (each array of
the size of x read or written once), temporaries over x, kernels, and arrays gathered
from other devices. `--keras` adds LayerNormalization and GroupNormalization of Keras.
"""

import argparse
import os
import sys

from experiments.machinery import files
from experiments.speed import tpu

os.environ.update(tpu.ENVIRONMENT)

# (shape, axes, group sizes; 0 is all channels)
INPUTS = {
    "tokens": ((65536, 768), -1, (3, 4, 6, 8, 12, 16, 48, 96, 192, 0)),
    "maps": ((256, 32, 32, 64), -1, (4, 8, 16, 0)),
    "maps, over space": ((256, 32, 32, 64), (1, 2, 3), (8, 0)),
}
# How four chips share an array: axes of the mesh for rows, channels and weights.
CUTS = {
    "v5e x 4, rows": (("data", "model"), None, None),
    "v5e x 4, rows and channels": ("data", "model", "model"),
}
CARDS = ("h100", "v5e", *CUTS, *(f"{name}, by XLA" for name in CUTS))
PASSES = ("value", "dx", "gradient")


def main():
    parser = argparse.ArgumentParser(
        prog="python -m experiments.speed.compiled",
        description="Compiles the layer for a described H100 and TPU v5e.",
    )
    parser.add_argument("--card", nargs="+", choices=CARDS, default=CARDS)
    parser.add_argument("--input", nargs="+", choices=INPUTS, default=INPUTS)
    parser.add_argument("--group_size", type=int, nargs="+", help="0: all channels")
    parser.add_argument("--keras", action="store_true", help="Keras' layers as well")
    parser.add_argument("--output", default="results/kernels/compiled.csv")
    arguments = parser.parse_args()
    rows = []
    try:
        for case in cases(arguments):
            rows.append({**case, **measure(**case)})
            print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
            files.write_csv(arguments.output, rows)
    except ImportError as error:
        sys.exit(f"{error}: see python -c 'help(\"experiments.speed.described\")'")
    for card in arguments.card:
        for name in PASSES:
            there = [r for r in rows if r["card"] == card and r["pass"] == name]
            if there := [r for r in there if r["layer"] == "ours"]:
                worst = max(there, key=lambda row: row["moved"])
                print(f"{card}, {name}: at most {worst['moved']} of the least bytes")


def cases(arguments):
    for card in arguments.card:
        for name in arguments.input:
            if card.startswith("v5e x") and name != "tokens":
                continue
            shape, _, sizes = INPUTS[name]
            for size in arguments.group_size or sizes:
                for dtype in ("float32", "bfloat16"):
                    for what in PASSES:
                        layers = ["ours"]
                        if arguments.keras:
                            layers += ["Keras"]
                        for layer in layers:
                            yield {
                                "card": card,
                                "input": name,
                                "group_size": size or shape[-1],
                                "dtype": dtype,
                                "pass": what,
                                "layer": layer,
                            }


def measure(**case):
    import contextlib

    import jax
    from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

    from experiments.speed import described

    shape, axis, _ = INPUTS[case["input"]]
    fn, arrays = function(axis, shape, **case)
    platform, parts, scope = "tpu", 1, contextlib.nullcontext()
    if case["card"] == "h100":
        platform, of_x = "cuda", described.h100()
        of_weights = of_x
    elif case["card"] == "v5e":
        of_x = of_weights = jax.sharding.SingleDeviceSharding(described.v5e()[0, 0])
    else:
        name, _, by_xla = case["card"].partition(", by")
        rows, channels, weights = CUTS[name]
        kind = AxisType.Auto if by_xla else AxisType.Explicit
        mesh = Mesh(described.v5e(), ("data", "model"), axis_types=(kind,) * 2)
        of_x = NamedSharding(mesh, PartitionSpec(rows, channels))
        of_weights = NamedSharding(mesh, PartitionSpec(weights))
        parts = 4
        scope = contextlib.nullcontext() if by_xla else jax.set_mesh(mesh)
    x = jax.ShapeDtypeStruct(shape, case["dtype"], sharding=of_x)
    w = jax.ShapeDtypeStruct(shape[-1:], "float32", sharding=of_weights)
    with scope:
        given = (x, w, w) if arrays == 2 else (x, w, w, x)
        program = described.compiled(fn, *given, platform=platform)
    whole = x.size * x.dtype.itemsize / parts
    return {
        "moved": round(program.moved / (arrays * whole), 3),
        "temporary": round(program.temporary / whole, 3),
        "kernels": program.kernels,
        "gathered": program.gathered,
    }


def function(axis, shape, layer, group_size, dtype, **case):
    """The function of one pass, and how many arrays of the size of x it must touch."""
    import functools

    import jax
    import keras

    import lng_keras

    value = functools.partial(
        lng_keras.group_layer_normalization, group_size=group_size, axis=axis
    )
    if layer == "Keras":
        policy = "float32" if dtype == "float32" else f"mixed_{dtype}"
        groups = shape[-1] // group_size
        keras_layer = keras.layers.GroupNormalization(groups, dtype=policy)
        if groups == 1 and axis == -1:
            keras_layer = keras.layers.LayerNormalization(dtype=policy)
        elif axis == -1:
            shape = (1, shape[-1])  # GroupNormalization takes all but the first axis
        keras_layer.build((None, *shape[1:]))

        def value(x, gamma, beta):
            rows = x if axis != -1 else x.reshape(-1, x.shape[-1])
            weights = [gamma, beta]
            y, _ = keras_layer.stateless_call(weights, [], rows)
            return y.reshape(x.shape)

    def dx(x, gamma, beta, dy):
        return jax.vjp(lambda x: value(x, gamma, beta), x)[1](dy)[0]

    def gradient(x, gamma, beta, dy):
        return jax.vjp(value, x, gamma, beta)[1](dy)

    return {"value": (value, 2), "dx": (dx, 3), "gradient": (gradient, 3)}[case["pass"]]


if __name__ == "__main__":
    main()
