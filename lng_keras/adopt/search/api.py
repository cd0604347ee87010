"""`search_group_size`: which group size, for a model or for each of its stages."""

from collections.abc import Callable, Sequence
from typing import Any

import keras

from lng_keras.adopt import defaults
from lng_keras.adopt.search.candidates import group_sizes
from lng_keras.adopt.search.result import SearchResult
from lng_keras.adopt.search.run import check_budget, run


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
    check_budget(candidates, max_epochs, finalists, seeds)
    if per_stage and not isinstance(model, keras.Model):
        raise ValueError("`per_stage` needs a model, not a function that makes one.")
    return run(
        group_sizes(model, candidates, per_stage, swap_arguments),
        model,
        train,
        validation,
        max_epochs=max_epochs,
        factor=factor,
        finalists=finalists,
        seeds=seeds,
        batch_size=batch_size,
        learning_rate=learning_rate,
        compile=compile,
        objective=objective,
        directory=directory,
        batch_sizes=batch_sizes,
        inputs=inputs,
        say=progress or (lambda text: None),
    )
