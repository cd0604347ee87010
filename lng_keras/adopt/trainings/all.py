"""Trains a model as it is and with each group size, every one with each seed."""

import gc
import time
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from lng_keras.adopt import fingerprint
from lng_keras.adopt.cost import AS_IS
from lng_keras.adopt.inputs import Data
from lng_keras.adopt.trainings.finished import cached
from lng_keras.adopt.trainings.one import train
from lng_keras.adopt.trainings.progress import Say
from lng_keras.swap import swap_normalization
from lng_keras.swap.api import copy_model

PROTOCOL = 3  # raise it when a training means something else than before


def run_all(
    model: keras.Model,
    data: Data,
    sizes: Sequence[int],
    seeds: int,
    settings: dict[str, Any],
    folder: str,
    say: Say,
    int8: bool = False,
    swap: dict[str, Any] | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """Trains every candidate with every seed.

    Args:
        settings: dict, of `train`: epochs, batch_size, learning_rate and pixels.
        folder: where finished trainings are kept and found again.
        swap: dict, of `swap_normalization`, such as `where`.

    Returns:
        dict, name of a candidate ("as it is" or its group size) -> list of results of
        `train`, one a seed.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    spent: list[float] = []
    done = 0
    jobs = [(size, seed) for seed in range(seeds) for size in (None, *sizes)]
    common = dict(
        settings,
        protocol=PROTOCOL,
        model=fingerprint.of_model(model),
        data=data.fingerprint(),
        backend=keras.config.backend(),
        swap=repr(sorted((swap or {}).items())),
        int8=int8,
    )
    for size, seed in jobs:
        name = AS_IS if size is None else str(size)
        label = name if size is None else f"group size {name}"
        done += 1

        def tell(text, label=label, seed=seed, done=done):
            left = np.mean(spent) * (len(jobs) - done + 1) if spent else None
            left = f", about {left / 60:.0f} min left" if left else ""
            say(f"[{done}/{len(jobs)}] {label}, seed {seed}: {text}{left}")

        def work(size=size, seed=seed, tell=tell):
            tell("preparing")
            keras.utils.set_random_seed(seed)
            trained = _candidate(model, size, swap or {})
            return train(trained, data, **settings, seed=seed, say=tell, int8=int8)

        start = time.perf_counter()
        result, reused = cached(folder, "run", dict(common, size=size, seed=seed), work)
        if reused:
            tell("already done")
        else:
            spent.append(time.perf_counter() - start)
        results.setdefault(name, []).append(result)
        gc.collect()
    return results


def _candidate(model, size, swap):
    """A copy of `model`, as it is for `size=None`, else with groups of `size`."""
    if size is None:
        return copy_model(model)
    return swap_normalization(model, group_size=size, **swap)[0]
