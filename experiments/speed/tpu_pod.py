"""Compiles whole training steps for pods of 4, 16 and 256 TPU chips, without a TPU.

    pip install "jax[cpu]" libtpu
    python -m experiments.speed.tpu_pod                      ViT B/16 and ResNet-NA 50
    python -m experiments.speed.tpu_pod --model=vit_ti --images=32 --topology=v5e:2x2

The step is the one that train.py runs on JAX: forward, backward, clipping, optimizer;
bfloat16, 224 x 224 images, the batch spread over all chips, the weights on each. The
TPU compiler is given a described topology. For each chip it tells the bytes moved to
and from memory, the memory taken, the arithmetic, and what goes over the links.
Compiling says nothing of speed: the times are floors, from the figures of Google's
documentation of the v5e (819 GB/s of memory, 197 TFLOP/s in bfloat16, 1600 Gbit/s of
links, 16 GB).
"""

import argparse
import functools
import json
import os
import re

from experiments.machinery import files
from experiments.speed.tpu import BYTES_PER_SECOND, ENVIRONMENT, FLOPS_PER_SECOND

os.environ.update(ENVIRONMENT)

LINK_BYTES_PER_SECOND = 200e9
CHIP_BYTES = 16e9
MODELS = ("vit_b", "resnet_na")
NORMS = ("ln", "lng")
TOPOLOGIES = ("v5e:2x2", "v5e:4x4", "v5e:16x16")
_COLLECTIVES = (
    "all-gather|all-reduce|all-to-all|collective-permute|reduce-scatter|"
    "collective-broadcast"
)
_BYTES = {"pred": 1, "s8": 1, "u8": 1, "bf16": 2, "f16": 2, "s16": 2, "u16": 2}


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments.speed.tpu_pod")
    parser.add_argument("--model", nargs="+", default=MODELS)
    parser.add_argument("--norm", nargs="+", default=NORMS)
    parser.add_argument("--topology", nargs="+", default=TOPOLOGIES)
    parser.add_argument("--images", type=int, default=128, help="a chip and step")
    parser.add_argument("--size", type=int, default=224, help="pixels a side")
    parser.add_argument("--output", default="results/scaling", help="a folder")
    arguments = parser.parse_args()
    for name in arguments.model:
        rows = []
        for norm in arguments.norm:
            model = build(name, norm, arguments.size)
            for topology in arguments.topology:
                row = compile_step(model, topology, arguments.images, arguments.size)
                rows.append({"model": name, "norm": norm, **row})
                print(json.dumps(rows[-1]), flush=True)
        lines = summary(name, rows)
        print("\n".join(lines), flush=True)
        path = os.path.join(arguments.output, f"tpu_pod_{name}.json")
        sizes = {"images_a_chip": arguments.images, "pixels_a_side": arguments.size}
        found = {**circumstances(), **sizes, "rows": rows, "summary": lines}
        files.write_json(path, found)


def build(name, norm, size):
    """The model and optimizer of train.py, with ImageNet's 1000 classes.

    `norm` is one of `zoo.models.norms`, where `ln` is our layer with one group, or
    "keras_ln", Keras' own layer over the last axis.
    """
    import keras

    import zoo
    from zoo.training import optimization

    keras.config.set_dtype_policy("mixed_bfloat16")
    if norm == "keras_ln":
        norm = functools.partial(keras.layers.LayerNormalization, epsilon=1e-5)
    depth = {"depth": 50} if name == "resnet_na" else {}
    shape = (size, size, 3)
    model = zoo.build(name, norm, num_classes=1000, input_shape=shape, **depth)
    settings = zoo.MODELS[name].recipe
    names = ("optimizer", "learning_rate", "weight_decay", "label_smoothing")
    chosen = {key: settings[key] for key in names}
    optimization.compile_model(model, total_steps=1000, clip_norm=1.0, **chosen)
    return model


def compile_step(model, topology, images, size):
    """Compiles the step for all chips of a topology; returns figures for one chip."""
    import jax
    import numpy as np
    from jax.experimental import topologies

    from lng_keras.functional import partitioned

    chips = topologies.get_topology_desc(topology, platform="tpu").devices
    mesh = jax.sharding.Mesh(np.array(chips), ("batch",))

    def struct(shape, dtype, *axes):
        spec = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec(*axes))
        return jax.ShapeDtypeStruct(shape, dtype, sharding=spec)

    state = tuple(
        [struct(v.shape, v.dtype) for v in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    )
    batch = images * len(chips)
    x = struct((batch, size, size, 3), "float32", "batch")
    y = struct((batch, 1000), "float32", "batch")
    with partitioned(mesh, rows="batch"):
        step = jax.jit(model.train_step, donate_argnums=0)
        lowered = step.trace(state, (x, y)).lower(lowering_platforms=("tpu",))
    compiled = lowered.compile()
    text, memory = compiled.as_text(), compiled.memory_analysis()
    cost = compiled.cost_analysis()
    links = collectives(text)
    calls, call_bytes = kernel_traffic(text)
    moved = cost["bytes accessed"] + call_bytes
    sent = 2 * (len(chips) - 1) / len(chips) * sum(n for _, n in links)
    parameters = sum(int(np.prod(v.shape)) * 4 for v in model.trainable_variables)
    return {
        "topology": topology,
        "chips": len(chips),
        "batch": batch,
        "traffic_gb": round(moved / 1e9, 3),
        "kernel_traffic_gb": round(call_bytes / 1e9, 3),
        "kernel_calls": calls,
        "tflop": round(cost["flops"] / 1e12, 3),
        "temporary_gb": round(memory.temp_size_in_bytes / 1e9, 3),
        "state_and_batch_gb": round(memory.argument_size_in_bytes / 1e9, 3),
        "fits": memory.temp_size_in_bytes + memory.argument_size_in_bytes < CHIP_BYTES,
        "parameters_mb": round(parameters / 1e6, 2),
        "collectives": count(links),
        "all_reduced_mb": round(sum(n for _, n in links) / 1e6, 2),
        "memory_floor_ms": round(moved / BYTES_PER_SECOND * 1e3, 2),
        "arithmetic_floor_ms": round(cost["flops"] / FLOPS_PER_SECOND * 1e3, 2),
        "links_floor_ms": round(sent / LINK_BYTES_PER_SECOND * 1e3, 2),
    }


def collectives(text):
    """Returns `(name, bytes)` of each collective of a compiled program."""
    found = re.findall(rf"= (.+?) ({_COLLECTIVES})(?:-start)?\(", text)
    return [(name, size_of(shape)) for shape, name in found]


def kernel_traffic(text):
    """Calls of the TPU kernel, and the bytes of their operands and results.

    The compiler's own count leaves out what a kernel reads and writes.
    """
    shapes = dict(re.findall(r"(%[\w.-]+) = (.+?) [\w-]+\(", text))
    calls = re.findall(
        r"= (.+?) custom-call\((.*?)\).*custom_call_target=\"tpu_custom_call\"", text
    )
    total = 0
    for result, operands in calls:
        total += size_of(result)
        for operand in re.findall(r"%[\w.-]+", operands):
            total += size_of(shapes.get(operand, ""))
    return len(calls), total


def size_of(shape):
    """Bytes of a shape as HLO writes it, such as `(f32[8,128]{1,0}, bf16[4])`."""
    total = 0
    for dtype, sizes in re.findall(r"([a-z]+\d*)\[([\d,]*)\]", shape):
        elements = 1
        for size in filter(None, sizes.split(",")):
            elements *= int(size)
        total += elements * _BYTES.get(dtype, 4)
    return total


def count(links):
    """`[("all-reduce", 8), ...]` -> "2 all-reduce, 16 bytes"."""
    names = sorted({name for name, _ in links})
    return {
        name: [sum(n == name for n, _ in links), sum(b for n, b in links if n == name)]
        for name in names
    }


def summary(model, rows):
    """What grows with the pod, and each norm over `ln`: a list of lines."""
    lines = []
    for norm in dict.fromkeys(row["norm"] for row in rows):
        traffic = [row["traffic_gb"] for row in rows if row["norm"] == norm]
        growth = max(traffic) / min(traffic)
        lines.append(f"{model} {norm}: traffic a chip grows {growth:.4f} times at most")
    for row in rows:
        twin = [r for r in rows if r["norm"] == "ln" and r["chips"] == row["chips"]]
        if row["norm"] != "ln" and twin:
            ratio = row["traffic_gb"] / twin[0]["traffic_gb"]
            floor = floor_ms(row) / floor_ms(twin[0])
            lines.append(
                f"{model} {row['norm']} on {row['chips']} chips: {ratio:.3f} "
                f"times the traffic of ln, {floor:.3f} times its floor of time"
            )
    return lines


def floor_ms(row):
    """Memory and arithmetic overlap at best; so do the links with the backward pass."""
    return max(
        row["memory_floor_ms"], row["arithmetic_floor_ms"], row["links_floor_ms"]
    )


def circumstances():
    import importlib.metadata as metadata

    return {
        "command": "python -m experiments.speed.tpu_pod",
        "compiler": "libtpu, described topologies, no TPU",
        "versions": {p: metadata.version(p) for p in ("jax", "keras", "libtpu")},
    }


if __name__ == "__main__":
    main()
