"""A model and data of seconds for the tests of `python -m lng_keras poc`."""

import keras
import numpy as np

from lng_keras.adopt import cli as command_line

layers = keras.layers


def classifier(norm=layers.BatchNormalization, classes=3):
    x = keras.Input((4, 4, 3))
    y = layers.Conv2D(8, 1, name="stage1_conv")(x)
    if norm:
        y = norm(name="stage1_norm")(y)
    y = layers.GlobalAveragePooling2D()(layers.ReLU()(y))
    return keras.Model(x, layers.Dense(classes)(y), name="tiny")


def arrays(n=60):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, n)
    x = rng.normal(size=(n, 4, 4, 3)) * 30 + 60 + 40 * y[:, None, None, None]
    return x.clip(0, 255).astype("uint8"), y


def prepare(path):
    """Writes a model file and data into a folder."""
    keras.utils.set_random_seed(0)
    classifier().save(path / "tiny.keras")
    x, y = arrays()
    np.savez(path / "data.npz", x=x, y=y)


def run(path, *more, model="tiny.keras", data="data.npz", output="report"):
    return command_line.main(
        [
            "poc",
            f"--model={model if ':' in model else path / model}",
            f"--data={data if ':' in data else path / data}",
            f"--output={path / output}",
            "--batch_sizes=1",
            *more,
        ]
    )
