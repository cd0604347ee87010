"""The examples of a run: loaded, selected, their labels drawn."""

import json

import numpy as np

import zoo.data
from lng_keras._base import files
from zoo.devices import workers
from zoo.runs import run_folder


def load(settings):
    """Loads the data set that the settings name and prints what it is."""
    data = zoo.data.load(
        settings.dataset, settings.data_dir, settings.image_size, settings.grayscale
    )
    print(f"Data: {data.source}.", flush=True)
    return data


def prepare(data, settings, folder):
    """Selects the examples; draws random labels once and keeps them in the folder."""
    held_out = settings.validation_examples
    if settings.search_group_size and not held_out:
        # A group size is chosen like a learning rate: not by the test images.
        held_out = max(1, len(data.train) // 10)
    data = zoo.data.select(data, settings.train_examples, held_out)
    if not settings.random_labels:
        return data
    path = folder / "random_labels.json"
    if path.exists():
        labels = np.array(run_folder.read_json(path), np.int64)
        return zoo.data.with_train_labels(data, labels)
    data = zoo.data.randomize_labels(data, settings.seed)
    if workers.current().chief:
        files.write(path, json.dumps(data.train.labels.tolist()))
    return data
