"""Compiles whole training steps for a described H100; tells what they move.

    python -m experiments.speed.compiled_steps
    python -m experiments.speed.compiled_steps --model resnet_na --norm bn lng_position

The step is the one that train.py runs on JAX: forward, backward, clipping, optimizer,
on CIFAR-10's images. Compiling says nothing of speed; no card is there to tune products
on, so they are XLA's plain ones.
"""

import argparse
import os
import sys

from experiments.machinery import files
from experiments.speed import tpu

os.environ.update(tpu.ENVIRONMENT)

# Of each model, what its norms are held against comes first.
NORMS = {
    "vit_ti": ("ln", "lng", "none"),
    "resnet_na": ("bn", "lng_position", "ln_position", "lng", "none"),
}
DTYPES = ("float32", "mixed_bfloat16")
OPTIONS = {"xla_gpu_autotune_level": 0, "xla_gpu_enable_triton_gemm": False}


def main():
    parser = argparse.ArgumentParser(
        prog="python -m experiments.speed.compiled_steps",
        description="Compiles whole training steps for a described H100.",
    )
    parser.add_argument("--model", nargs="+", choices=NORMS, default=NORMS)
    parser.add_argument("--norm", nargs="+")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, default=DTYPES)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--output", default="results/kernels/compiled_steps.csv")
    arguments = parser.parse_args()
    rows = []
    for model in arguments.model:
        for dtype in arguments.dtype:
            for norm in arguments.norm or NORMS[model]:
                case = {"model": model, "norm": norm, "dtype": dtype}
                try:
                    found = measure(batch=arguments.batch, **case)
                except ImportError as error:
                    sys.exit(f"{error}: see experiments/speed/described.py")
                rows.append({**case, "batch": arguments.batch, **found})
                print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
                files.write_csv(arguments.output, rows)


def measure(model, norm, dtype, batch):
    import jax

    from experiments.speed import described, traffic

    card = described.h100()
    step, state = training_step(model, norm, dtype)

    def struct(shape, kind):
        return jax.ShapeDtypeStruct(shape, kind, sharding=card)

    state = jax.tree.map(lambda v: struct(v.shape, v.dtype), state)
    x, y = struct((batch, 32, 32, 3), "float32"), struct((batch, 10), "float32")
    lowered = (
        jax.jit(step, donate_argnums=0)
        .trace(state, (x, y))
        .lower(lowering_platforms=("cuda",))
    )
    program = lowered.compile(compiler_options=OPTIONS)
    moved, kernels = traffic.moved(program.as_text())
    return {
        "moved_gb": round(moved / 1e9, 3),
        "temporary_gb": round(program.memory_analysis().temp_size_in_bytes / 1e9, 3),
        "kernels": kernels,
    }


def training_step(name, norm, dtype):
    """The function of a step, `(state, (x, y)) -> ...`, and its state."""
    import keras

    import zoo
    from zoo.training import optimization

    keras.config.set_dtype_policy(dtype)
    model = zoo.build(name, norm, num_classes=10, input_shape=(32, 32, 3))
    settings = zoo.MODELS[name].recipe
    names = ("optimizer", "learning_rate", "weight_decay", "label_smoothing")
    chosen = {key: settings[key] for key in names}
    optimization.compile_model(model, total_steps=1000, clip_norm=1.0, **chosen)
    state = tuple(
        [v.value for v in variables]
        for variables in (
            model.trainable_variables,
            model.non_trainable_variables,
            model.optimizer.variables,
            model.metrics_variables,
        )
    )
    return model.train_step, state


if __name__ == "__main__":
    main()
