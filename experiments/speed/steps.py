"""Times the training step of whole models with `ln` beside grouped normalization.

    python -m experiments.speed.steps                     TensorFlow
    KERAS_BACKEND=jax python -m experiments.speed.steps   or torch

ViT (depth 6, width 64, patch 4) and ResNet-20 without activations on 32 x 32 images,
batch 64, as train.py runs them on a CPU: compiled by XLA, but not ResNet on TensorFlow
and nothing on torch. Steps are taken in turn; the ratio is to the same model with the
reference, `ln` or `ln_position`, median and quartiles.
"""

import argparse
import os
import statistics

COMPARISONS = {
    "vit": (("lng", "ln"),),
    "resnet_na": (
        ("lng", "ln"),
        ("lng_position", "ln"),
        ("lng_position", "ln_position"),
    ),
}


def main():
    parser = argparse.ArgumentParser(prog="python -m experiments.speed.steps")
    parser.add_argument("--batch_size", type=int, default=64, help="images a step")
    parser.add_argument("--repeats", type=int, default=21, help="steps of each")
    parser.add_argument("--output", default="results/kernels", help="a folder")
    arguments = parser.parse_args()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

    import keras

    from experiments.machinery import timing
    from lng_keras._base.timing import in_turns

    backend = keras.backend.backend()
    environment = timing.environment(backend)
    rows = []
    for model, pairs in COMPARISONS.items():
        norms = sorted({norm for pair in pairs for norm in pair})
        steps = {norm: step(model, norm, arguments.batch_size) for norm in norms}
        seconds = in_turns(steps, arguments.repeats)
        for norm, reference in pairs:
            middle, low, high = timing.ratio(seconds[norm], seconds[reference])
            row = {
                "model": model,
                "norm": norm,
                "milliseconds": round(statistics.median(seconds[norm]) * 1e3, 2),
                "reference": reference,
                "reference_milliseconds": round(
                    statistics.median(seconds[reference]) * 1e3, 2
                ),
                "ratio": round(middle, 3),
                "quartiles": [round(low, 3), round(high, 3)],
                "steps": arguments.repeats,
            }
            rows.append(row)
            print(" ".join(f"{k}={v}" for k, v in row.items()), flush=True)
    path = os.path.join(arguments.output, f"steps_{backend}.json")
    timing.write(
        path, {**environment, "batch_size": arguments.batch_size, "rows": rows}
    )


def step(model, norm, batch_size):
    import keras
    import numpy as np

    import zoo
    from zoo.devices import cpu

    keras.utils.set_random_seed(0)
    network = zoo.build(model, norm=norm)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    backend = keras.backend.backend()
    compiled = backend == "jax" or (backend, model) == ("tensorflow", "vit")
    network.compile("sgd", loss, jit_compile=compiled)
    cpu.speed_up(network, compiled)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(batch_size, 32, 32, 3)).astype("float32")
    y = rng.integers(0, 10, batch_size)
    return lambda: network.train_on_batch(x, y)


if __name__ == "__main__":
    main()
