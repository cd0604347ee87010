"""Data sets that tensorflow-datasets has prepared."""

import os

import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.extras import needed
from lng_keras.adopt.inputs import choice, fitting
from lng_keras.adopt.inputs.data import Data


def read(
    name: str, shape: tuple[int, ...], examples: int, data_dir: str | None
) -> Data:
    tfds = needed("tensorflow_datasets", "train")
    data_dir = data_dir or os.environ.get("LNG_KERAS_DATA_DIR")
    try:
        # Not downloaded here: offline, the attempt hangs for minutes.
        builder = tfds.builder(name, data_dir=data_dir)
        splits = builder.info.splits
        counts = {"train": examples}
        held = next((s for s in ("validation", "test") if s in splits), None)
        if held:
            counts["train"], counts[held] = choice.counts(examples)
        sets = []
        for split, count in counts.items():
            dataset = builder.as_dataset(split=f"{split}[:{count}]", as_supervised=True)
            sets.append(list(tfds.as_numpy(dataset)))
    except Exception as error:
        raise UsageError(
            f"No data {name!r}: no such folder or .npz file, and tensorflow-datasets "
            f"has none prepared ({str(error)[:160]})."
        ) from error
    arrays = []
    for pairs in sets:
        inputs, labels = zip(*pairs, strict=True)
        arrays.append((fitting.fitted(inputs, shape), np.stack(labels)))
    if held:
        (x, y), (x_val, y_val) = arrays
        return Data(x, y, x_val, y_val, f"tfds {name}")
    [(x, y)] = arrays
    return choice.split(x, y, examples, f"tfds {name}")
