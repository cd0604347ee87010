"""The search itself: Hyperband over a space, then the finalists compared fairly.

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
from lng_keras.adopt import cost, fingerprint
from lng_keras.adopt.search import comparison, hyperband
from lng_keras.adopt.search.directory import claim
from lng_keras.adopt.search.result import SearchResult
from lng_keras.adopt.search.space import Space
from lng_keras.adopt.search.training import (
    Trainer,
    data_fingerprint,
    fit_arguments,
    steps_of,
)
from lng_keras.adopt.trainings import compiled

Fits = Callable[[Space, dict[str, Any]], Space]


def check_budget(
    candidates: Sequence[int], max_epochs: int, finalists: int, seeds: int
) -> None:
    """Refuses what leaves nothing to search, and a missing KerasTuner."""
    needed("keras_tuner", "tune")
    if not candidates or min(candidates) < 1 or min(max_epochs, finalists, seeds) < 1:
        raise ValueError(
            "`candidates`, `max_epochs`, `finalists` and `seeds` must be >= 1. "
            f"Received: candidates={candidates}, max_epochs={max_epochs}, "
            f"finalists={finalists}, seeds={seeds}"
        )


def run(
    space: Space,
    model: Any,
    train: Any,
    validation: Any,
    max_epochs: int,
    factor: int,
    finalists: int,
    seeds: int,
    batch_size: int,
    learning_rate: float,
    compile: Callable[[keras.Model], object] | None,
    objective: str,
    directory: str,
    batch_sizes: Sequence[int],
    inputs: Any,
    say: Callable[[str], object],
    fits: Fits = lambda space, settings: space,
) -> SearchResult | None:
    """Searches a space; see `search_normalization` for the other arguments.

    Args:
        model: what all candidates start from, or the function that makes them.
        fits: function from the space and the settings to what is left of the space,
            called once the folder is known to be this search's.
    """
    fit = fit_arguments(train, validation, batch_size)
    trainer = Trainer(
        build=space.build,
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
        candidates=space.digests,
        data=data_fingerprint(fit),
    )
    # Where several share it, one notes it: two at a time would get in their way.
    who = os.environ.get("KERASTUNER_TUNER_ID", "tuner0")
    claim(directory, settings, note=who == "tuner0")
    space = fits(space, settings)
    hyperband.run(trainer, space, factor, directory, say)
    if who != "tuner0":
        say(f"{who}: done; tuner0 makes the comparison")
        return None
    trials = hyperband.trials(directory, space)
    chosen = space.best_of(trials, finalists)
    rows = comparison.compare(
        trainer, chosen, space.key, seeds, settings, directory, say
    )
    say("measuring cost")
    table = cost.measure(
        {name: space.build(candidate) for name, candidate in chosen.items()},
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
