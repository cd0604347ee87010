"""`search_normalization`: which norms to replace, by which form, in groups of what."""

import dataclasses
import functools
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from lng_keras._base.errors import UsageError
from lng_keras.adopt import cost, defaults
from lng_keras.adopt.cost.turns import latencies
from lng_keras.adopt.search.placements import space_of
from lng_keras.adopt.search.result import SearchResult
from lng_keras.adopt.search.run import check_budget, run
from lng_keras.adopt.search.space import Space
from lng_keras.adopt.trainings import cached
from lng_keras.swap.where import Where


def search_normalization(
    model: keras.Model,
    train: Any,
    validation: Any,
    placements: Sequence[str] | Mapping[str, Where] | None = None,
    forms: Sequence[str] | None = None,
    group_sizes: Sequence[int] = defaults.GROUP_SIZES,
    max_latency: float | None = None,
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
) -> SearchResult | None:
    """Searches which of a model's normalizations to replace by LN-G, and how.

    A candidate is a placement (which norms), a form (statistics over space as well, or
    of each position by itself) and a group size; two that put the same layers into the
    same places are one. The model as it is is a candidate too, and always in the
    result. Interrupted, on several machines: as `search_group_size`.

    Args:
        model: built `keras.Model`, which every candidate starts from, weights
            included.
        train: `(x, y)` arrays; a dataset that `fit` takes; or a function from the
            number of an epoch, from 0, to a `keras.utils.PyDataset` of its batches.
        validation: `(x, y)` arrays, or a dataset.
        placements: list of what `where` of `swap_normalization` takes ("linear",
            "residual", "stage2*"), or "all"; or dict from names to such, functions
            included. None: all, linear and residual, as far as the model has them.
        forms: of "over space" and "by position". None: both where the model has
            norms over space, BatchNormalization of maps among them, else by position.
        group_sizes: sequence of ints >= 1.
        max_latency: float or None; candidates whose measured latency is above so many
            times that of the model as it is are not trained. At the last of
            `batch_sizes`, in the mode in which the model as it is runs fastest.
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

    Returns:
        `SearchResult`, whose rows have a dict `swap` (`placement`, `form`,
        `group_size`, `replaced`, `of`), or None in a process that does not make the
        comparison.

    Raises:
        ValueError: for arguments out of range, a model without normalizations, a
            placement that selects none, a `max_latency` that no candidate keeps, or a
            `directory` that holds another search.
        ImportError: without KerasTuner.
    """
    check_budget(group_sizes, max_epochs, finalists, seeds)
    if not isinstance(model, keras.Model):
        raise ValueError(
            f"`model` must be a keras.Model. Received: {type(model).__name__}"
        )
    if max_latency is not None and not max_latency > 0:
        raise ValueError(f"`max_latency` must be > 0. Received: {max_latency}")
    if max_latency is not None and "KERASTUNER_TUNER_ID" in os.environ:
        raise UsageError(
            "`max_latency` is measured on one machine, and several would disagree: "
            "search with it on one, or leave it out."
        )
    say = progress or (lambda text: None)
    limited = functools.partial(
        fast_enough,
        limit=max_latency,
        batch=max(batch_sizes),
        inputs=inputs,
        folder=os.path.join(directory, "finals"),
        say=say,
    )
    return run(
        space_of(model, placements, forms, group_sizes),
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
        say=say,
        fits=limited,
    )


def fast_enough(
    space: Space,
    settings: dict[str, Any],
    limit: float | None,
    batch: int,
    inputs: Any,
    folder: str,
    say: Callable[[str], object],
) -> Space:
    """The space without what is slower than `limit` times the model as it is.

    Args:
        settings: dict of plain data, to know the same measurement by.
        batch: int, how many examples are timed.
        folder: where the measurement is kept. Made again, it might leave out another
            candidate, which would go missing where a search continues.
    """
    if limit is None:
        return space

    def work():
        say("measuring the latency of every candidate")
        return latency_ratios(space, batch, inputs)

    ratios, _ = cached(folder, "latency", dict(settings, batch=batch), work)
    return pruned(space, ratios, limit, say)


def latency_ratios(space: Space, batch: int, inputs: Any = None) -> dict[str, float]:
    """Name of a candidate -> its latency over that of the model as it is."""
    named = {space.name(c): c for c in (space.as_is, *space.single)}
    models = {name: space.build(candidate) for name, candidate in named.items()}
    as_is = space.name(space.as_is)
    example = cost.example_of(models[as_is]) if inputs is None else inputs
    # Eager JAX is no one's way to run a model; elsewhere compiling takes longer.
    compiled = None if keras.config.backend() == "jax" else False
    timed = latencies(models, example, (batch,), 20, 0.5, compiled)
    fastest = min(timed[as_is], key=lambda entry: entry["median_ms"])
    return {
        name: entry["median_ms"] / fastest["median_ms"]
        for name, entries in timed.items()
        for entry in entries
        if entry["mode"] == fastest["mode"]
    }


def pruned(
    space: Space,
    ratios: Mapping[str, float],
    limit: float,
    say: Callable[[str], object] = lambda text: None,
) -> Space:
    """The space without the candidates whose latency ratio is above `limit`.

    Raises:
        UsageError: if nothing but the model as it is would be left.
    """
    slow = {name for name, ratio in ratios.items() if ratio > limit}
    single = [c for c in space.single if space.name(c) not in slow]
    if slow:
        listed = ", ".join(f"{name} x{ratios[name]:.2f}" for name in sorted(slow))
        say(f"above max_latency={limit:g}, not trained: {listed}")
    if not single:
        fastest = min(ratios[space.name(c)] for c in space.single)
        raise UsageError(
            f"No candidate keeps max_latency={limit:g}: the fastest takes "
            f"x{fastest:.2f} of the model as it is. Leave the model as it is, or "
            "allow more."
        )
    kept = [space.name(c) for c in (space.as_is, *single)]
    return dataclasses.replace(space, single=single, choices={"candidate": kept})
