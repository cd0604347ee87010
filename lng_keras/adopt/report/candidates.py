"""What the report compares with the model as it is: group sizes, or what was found."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras

from lng_keras._base.errors import UsageError
from lng_keras.adopt import fingerprint, trainings
from lng_keras.adopt.inputs import Data
from lng_keras.adopt.search.normalization import fast_enough
from lng_keras.adopt.search.placements import (
    Candidate,
    arguments_of,
    known_placements,
    space_of,
)
from lng_keras.adopt.search.space import Space
from lng_keras.swap import swap_normalization
from lng_keras.swap.where import Where

Placements = Sequence[str] | Mapping[str, Where] | str | None


def of_sizes(
    group_sizes: Sequence[int], swap_arguments: dict[str, Any]
) -> dict[str, dict[str, Any]]:
    """Name -> arguments of `swap_normalization`, one candidate a group size."""
    return {str(s): dict(swap_arguments, group_size=s) for s in group_sizes}


def space(
    model: keras.Model,
    placements: Placements,
    forms: Sequence[str] | None,
    group_sizes: Sequence[int],
    swap_arguments: dict[str, Any],
) -> Space:
    """What to find candidates in; refuses what has no effect there."""
    for name, value in swap_arguments.items():
        if value is not None:
            raise UsageError(
                f"`{name}` does not go with `placements`, which says what to replace. "
                f"Received: {name}={value!r}"
            )
    return space_of(model, _given(placements), forms, group_sizes)


def _given(placements):
    return None if placements == "auto" else placements


def found(
    model: keras.Model,
    data: Data,
    space: Space,
    placements: Placements,
    count: int,
    max_latency: float | None,
    batch: int,
    settings: dict[str, Any],
    folder: str,
    say: Callable[[str], object],
) -> tuple[dict[str, dict[str, Any]], dict[str, Candidate]]:
    """The best of a space after one epoch of each, all with the same seed.

    One epoch is little to tell them apart by; it is what minutes on two cores allow,
    and the finalists are then trained from the start.

    Args:
        settings: dict, of `trainings.run_all`.
        folder: where finished trainings and measurements are kept.

    Returns:
        `(candidates, chosen)`: name -> arguments of `swap_normalization`, and name ->
        what was chosen, `placement`, `form`, `group_size`, `replaced` and `of`.
    """
    what = dict(model=fingerprint.of_model(model), candidates=space.digests)
    space = fast_enough(space, what, max_latency, batch, None, folder, say)
    chosen = {space.name(one): one for one in space.single}
    known = known_placements(_given(placements))
    candidates = {name: arguments_of(one, known) for name, one in chosen.items()}
    if len(candidates) > count:
        say(f"one epoch of each of {len(candidates)} candidates, for the best {count}")
        first = dict(settings, epochs=1)
        results = trainings.run_all(model, data, candidates, 1, first, folder, say)
        best = sorted(candidates, key=lambda name: -results[name][0]["accuracy"])
        candidates = {name: candidates[name] for name in best[:count]}
    return candidates, {name: chosen[name] for name in candidates}


def swaps_of(
    model: keras.Model, candidates: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Name -> `SwapReport.to_dict()`; refuses what cannot be swapped."""
    try:
        swaps = {
            name: swap_normalization(model, **arguments)[1].to_dict()
            for name, arguments in candidates.items()
        }
    except (ValueError, RuntimeError) as error:
        raise UsageError(error) from error
    rows = [row for swap in swaps.values() for row in swap["rows"]]
    if not any(row["status"] == "replaced" for row in rows):
        reasons = sorted({row["reason"] or row["status"] for row in rows})
        raise UsageError(
            f"None of the model's {len(rows) // len(swaps)} normalizations would be "
            f"replaced ({'; '.join(reasons)[:200]}), so there is nothing to compare."
        )
    return swaps
