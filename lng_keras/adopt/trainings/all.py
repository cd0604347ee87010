"""Trains a model as it is and with each candidate, every one with each seed."""

import gc
import time
from collections.abc import Mapping
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
    candidates: Mapping[str, dict[str, Any]],
    seeds: int,
    settings: dict[str, Any],
    folder: str,
    say: Say,
    int8: bool = False,
) -> dict[str, list[dict[str, Any]]]:
    """Trains every candidate with every seed.

    Args:
        candidates: dict, name -> arguments of `swap_normalization`.
        settings: dict, of `train`: epochs, batch_size, learning_rate and pixels.
        folder: where finished trainings are kept and found again.

    Returns:
        dict, name of a candidate, "as it is" the first -> list of results of `train`,
        one a seed.
    """
    results: dict[str, list[dict[str, Any]]] = {}
    spent: list[float] = []
    done = 0
    named = {AS_IS: None, **candidates}
    jobs = [(name, seed) for seed in range(seeds) for name in named]
    common = dict(
        settings,
        protocol=PROTOCOL,
        model=fingerprint.of_model(model),
        data=data.fingerprint(),
        backend=keras.config.backend(),
        int8=int8,
    )
    for name, seed in jobs:
        done += 1
        called = label(name)

        def tell(text, called=called, seed=seed, done=done):
            left = np.mean(spent) * (len(jobs) - done + 1) if spent else None
            left = f", about {left / 60:.0f} min left" if left else ""
            say(f"[{done}/{len(jobs)}] {called}, seed {seed}: {text}{left}")

        def work(swap=named[name], seed=seed, tell=tell):
            tell("preparing")
            keras.utils.set_random_seed(seed)
            trained = _candidate(model, swap)
            return train(trained, data, **settings, seed=seed, say=tell, int8=int8)

        start = time.perf_counter()
        what = dict(common, seed=seed, **_key(named[name]))
        result, reused = cached(folder, "run", what, work)
        if reused:
            tell("already done")
        else:
            spent.append(time.perf_counter() - start)
        results.setdefault(name, []).append(result)
        gc.collect()
    return results


def label(name: str) -> str:
    """How a candidate is called in a sentence: a group size by itself is a number."""
    return f"group size {name}" if name.isdigit() else name


def _candidate(model, swap):
    """A copy of `model`, as it is for None, else swapped with these arguments."""
    return copy_model(model) if swap is None else swap_normalization(model, **swap)[0]


def _key(swap):
    """What a kept training is told from others by."""
    rest = dict(swap or {})
    size = rest.pop("group_size", None)
    return {"size": size, "swap": repr(sorted(rest.items()))}
