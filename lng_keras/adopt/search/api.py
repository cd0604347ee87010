"""Searches for the group size: Hyperband of KerasTuner, then a fair comparison.

Hyperband gives many candidates a few epochs and the best of them more, so its scores
have different budgets. What it found best is therefore trained once more from the
start, beside the model as it is, with the same epochs and seeds for all. That table is
the answer; accuracy and inference cost are in it, and the Pareto front is marked.
"""

import json
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras

from lng_keras._base import files
from lng_keras._base.extras import needed
from lng_keras.adopt import cost, defaults, fingerprint
from lng_keras.adopt.search import comparison, hyperband
from lng_keras.adopt.search.candidates import best_of, builder, stages_of
from lng_keras.adopt.search.directory import claim
from lng_keras.adopt.search.result import SearchResult
from lng_keras.adopt.search.training import (
    Trainer,
    data_fingerprint,
    fit_arguments,
    steps_of,
)
from lng_keras.adopt.trainings import compiled


def search_group_size(
    model: keras.Model | Callable[[int | None], keras.Model],
    train: Any,
    validation: Any,
    candidates: Sequence[int] = (4, 8, 16, 32),
    per_stage: bool = False,
    max_epochs: int = 9,
    factor: int = 3,
    finalists: int = 3,
    seeds: int = defaults.SEEDS,
    batch_size: int = defaults.BATCH_SIZE,
    learning_rate: float = defaults.LEARNING_RATE,
    compile: Callable[[keras.Model], object] | None = None,
    objective: str = "accuracy",
    directory: str = "search",
    batch_sizes: Sequence[int] = defaults.LATENCY_BATCHES,
    inputs: Any = None,
    progress: Callable[[str], object] | None = print,
    **swap_arguments: Any,
) -> SearchResult | None:
    """Searches the group size of a model's normalizations.

    An interrupted search continues: run the same call with the same `directory`. On
    several machines with a shared `directory`, set KerasTuner's variables
    (KERASTUNER_TUNER_ID "chief" or "tuner0", "tuner1", ...; KERASTUNER_ORACLE_IP and
    _PORT); "tuner0" makes the final comparison, the others return None.

    Args:
        model: built `keras.Model`, which every candidate starts from, weights
            included; or a function from a group size, or None for the model as it
            is, to a new built model.
        train: `(x, y)` arrays; a dataset that `fit` takes; or a function from the
            number of an epoch, from 0, to a `keras.utils.PyDataset` of its batches,
            so that every candidate sees the same ones, augmented anew each epoch.
        validation: `(x, y)` arrays, or a dataset.
        candidates: sequence of ints >= 1, the group sizes.
        per_stage: bool, one group size a stage instead of one for the model; see
            `stage_of`. Needs a model, not a function.
        max_epochs: int, epochs of Hyperband's last rung and of the comparison.
        factor: int, Hyperband's: each rung keeps one in `factor`.
        finalists: int, how many of the best to compare.
        seeds: int, trainings of each in the comparison.
        batch_size: int, for arrays.
        learning_rate: float, of Adam, unless `compile` is given.
        compile: function that compiles a model, or None: Adam and cross-entropy.
        objective: str, the metric to maximize on validation.
        directory: folder for everything that is kept, one for each search.
        batch_sizes, inputs: of `lng_keras.cost.measure`.
        progress: function called with a line of text, or None.
        **swap_arguments: of `swap_normalization`.

    Returns:
        `SearchResult`, or None in a process that does not make the comparison.

    Raises:
        ValueError: for arguments out of range, a model without normalizations, or a
            `directory` that holds another search.
        ImportError: without KerasTuner.
    """
    needed("keras_tuner", "tune")
    say = progress or (lambda text: None)
    if not candidates or min(candidates) < 1 or min(max_epochs, finalists, seeds) < 1:
        raise ValueError(
            "`candidates`, `max_epochs`, `finalists` and `seeds` must be >= 1. "
            f"Received: candidates={candidates}, max_epochs={max_epochs}, "
            f"finalists={finalists}, seeds={seeds}"
        )
    if per_stage and not isinstance(model, keras.Model):
        raise ValueError("`per_stage` needs a model, not a function that makes one.")
    build = builder(model, swap_arguments)
    stages = stages_of(model) if per_stage else ["all"]
    fit = fit_arguments(train, validation, batch_size)
    trainer = Trainer(
        build=build,
        compile=compile or (lambda m: compiled(m, learning_rate)),
        fit=fit,
        steps=steps_of(fit["x"], batch_size),
        objective=objective,
        epochs=max_epochs,
    )
    settings = dict(
        max_epochs=max_epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        objective=objective,
        backend=keras.config.backend(),
        steps=trainer.steps,
        # A function's models have new weights, which depend on the seed alone.
        model=fingerprint.of_model(model) if isinstance(model, keras.Model) else None,
        candidates=_configurations(build, stages, candidates),
        data=data_fingerprint(fit),
    )
    # Where several share it, one notes it: two at a time would get in their way.
    who = os.environ.get("KERASTUNER_TUNER_ID", "tuner0")
    claim(directory, settings, note=who == "tuner0")
    hyperband.run(trainer, stages, candidates, factor, directory, say)
    if who != "tuner0":
        say(f"{who}: done; tuner0 makes the comparison")
        return None
    trials = hyperband.trials(directory)
    chosen = best_of(trials, stages, candidates, finalists)
    rows = comparison.compare(trainer, chosen, seeds, settings, directory, say)
    say("measuring cost")
    table = cost.measure(
        {name: build(sizes) for name, sizes in chosen.items()},
        batch_sizes=batch_sizes,
        inputs=inputs,
        per_layer=None,
        repeats=20,
        seconds=1.0,
    )
    for row, costs in zip(rows, table.rows, strict=True):
        row.update({k: v for k, v in costs.items() if k not in ("name", "layers")})
    result = SearchResult(rows, trials, dict(settings, seeds=seeds), table)
    files.write(
        os.path.join(directory, "search.json"), json.dumps(result.to_dict(), indent=1)
    )
    files.write(os.path.join(directory, "search.txt"), f"{result}\n")
    return result


def _configurations(build, stages, candidates):
    """Digest of the model of each group size: what `swap_arguments` do, if anything."""
    found = {}
    for size in (0, *candidates):
        keras.utils.set_random_seed(0)  # a layer may draw a seed for its config
        found[str(size)] = fingerprint.of_config(build(dict.fromkeys(stages, size)))
    return found
