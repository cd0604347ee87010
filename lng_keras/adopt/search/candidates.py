"""The candidates of `search_group_size`: which group sizes a model is built with."""

import re
from collections.abc import Callable, Sequence
from typing import Any

import keras

from lng_keras.adopt import fingerprint
from lng_keras.adopt.cost import AS_IS
from lng_keras.adopt.search.space import Space
from lng_keras.swap import find_normalizations, swap_normalization
from lng_keras.swap.api import copy_model
from lng_keras.swap.norms import Norm
from lng_keras.swap.where import matches

Sizes = dict[str, int]  # stage, or "all" -> group size; 0: its own normalization

_STAGE = re.compile(r"((?:stage|block|stack|layer|conv|encoder)_?\d+)", re.IGNORECASE)


def stage_of(norm: Norm) -> str:
    """The stage a norm belongs to by its path: "stage2", "block_3", or "rest"."""
    found = _STAGE.search(norm.path)
    return found[1].lower() if found else "rest"


def builder(
    model: keras.Model | Callable[[int | None], keras.Model],
    swap_arguments: dict[str, Any],
) -> Callable[[Sizes], keras.Model]:
    """A function from `{stage: group size or 0}` to a new model."""

    def from_model(sizes):
        if not any(sizes.values()):
            return copy_model(model)
        whole = sizes.get("all")

        def size(norm):
            return whole or sizes[stage_of(norm)]

        where = swap_arguments.get("where")
        rest = {k: v for k, v in swap_arguments.items() if k != "where"}
        if whole is None:
            kept = {stage for stage, chosen in sizes.items() if not chosen}
            given = where

            def where(norm):
                return stage_of(norm) not in kept and matches(given, norm)

        return swap_normalization(model, group_size=size, where=where, **rest)[0]

    if isinstance(model, keras.Model):
        list(find_normalizations(model))  # raises if there is none
        return from_model
    if not callable(model):
        raise ValueError(
            "`model` must be a keras.Model or a function from a group size to one. "
            f"Received: {type(model).__name__}"
        )
    return lambda sizes: model(sizes["all"] or None)


def stages_of(model: keras.Model) -> list[str]:
    return sorted({stage_of(norm) for _, norm in find_normalizations(model)})


def name_of(sizes: Sizes) -> str:
    """How a candidate is called: "as it is", "8", or "stage1=4 stage2=8"."""
    if not any(sizes.values()):
        return AS_IS
    if set(sizes) == {"all"}:
        return str(sizes["all"])
    return " ".join(f"{stage}={size or 'own'}" for stage, size in sizes.items())


def group_sizes(
    model: keras.Model | Callable[[int | None], keras.Model],
    candidates: Sequence[int],
    per_stage: bool,
    swap_arguments: dict[str, Any],
) -> Space:
    """The space of `search_group_size`; see there for the arguments."""
    build = builder(model, swap_arguments)
    stages = ["all"]
    if per_stage and isinstance(model, keras.Model):
        stages = stages_of(model)
    prefix = "group_size/"
    # 0 is the model's own normalization, a candidate like the others.
    sizes = {size: dict.fromkeys(stages, size) for size in (0, *candidates)}
    digests = {}
    for size, candidate in sizes.items():
        keras.utils.set_random_seed(0)  # a layer may draw a seed for its config
        digests[str(size)] = fingerprint.of_config(build(candidate))
    return Space(
        key="group_sizes",
        choices={prefix + stage: [0, *candidates] for stage in stages},
        candidate=lambda values: {
            name.removeprefix(prefix): value
            for name, value in values.items()
            if name.startswith(prefix)
        },
        as_is=sizes[0],
        single=[sizes[size] for size in candidates],
        name=name_of,
        build=build,
        digests=digests,
    )
