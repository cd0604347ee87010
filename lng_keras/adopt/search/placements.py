"""The candidates of `search_normalization`: which norms, of which form and size."""

import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

import keras

from lng_keras._base.errors import UsageError
from lng_keras.adopt import fingerprint
from lng_keras.adopt.cost import AS_IS
from lng_keras.adopt.search.space import Candidate, Space
from lng_keras.swap import swap_normalization
from lng_keras.swap.api import copy_model, find, plan
from lng_keras.swap.where import PLACEMENTS, Where

FORMS = {"over space": True, "by position": False}  # what `over_space` says of it
_ALL = "all"


def known_placements(
    placements: Sequence[str] | Mapping[str, Where] | None,
) -> dict[str, Where]:
    """Name -> `where`, of what the user gives; None: the whole and the words."""
    if placements is None:
        return {_ALL: None, **{word: word for word in PLACEMENTS}}
    if isinstance(placements, Mapping):
        return dict(placements)
    return {name: None if name == _ALL else name for name in placements}


def forms_of(model: keras.Model) -> list[str]:
    """The forms to try where none are named.

    Norms that look at each position by itself may do so for a reason, as where a
    token must not see later ones: then no form over space.
    """
    batch_norm = keras.layers.BatchNormalization
    over_space = any(
        norm.over_space or (isinstance(norm.layer, batch_norm) and len(norm.shape) > 2)
        for _, norm in find(model)
        if norm.shape
    )
    return list(FORMS) if over_space else ["by position"]


def candidates_of(
    model: keras.Model,
    placements: Mapping[str, Where],
    forms: Sequence[str],
    group_sizes: Sequence[int],
    strict: bool,
) -> dict[str, Candidate]:
    """Name -> candidate, no two of which do the same.

    Args:
        strict: bool, raise for a placement that the model has not, instead of
            leaving it out.
    """
    found: dict[str, Candidate] = {}
    known: set[str] = set()
    # Placements fastest: where few can be tried, they are the ones that differ most.
    for size, form, name in itertools.product(group_sizes, forms, placements):
        candidate: Candidate = {"placement": name, "form": form, "group_size": size}
        try:
            rows, made, *_ = plan(model, **arguments_of(candidate, placements))
        except ValueError as error:
            if strict:
                raise UsageError(error) from error
            continue
        digest = _digest(made)
        if made and digest not in known:
            known.add(digest)
            candidate.update(replaced=len(made), of=len(rows), digest=digest)
            found[name_of(candidate)] = candidate
    if not found:
        raise UsageError(
            f"None of {model.name!r}'s normalizations would be replaced by any "
            "candidate, so there is nothing to search."
        )
    return found


def arguments_of(
    candidate: Candidate, placements: Mapping[str, Where]
) -> dict[str, Any]:
    """The arguments of `swap_normalization` that a candidate stands for."""
    return dict(
        group_size=candidate["group_size"],
        where=placements[candidate["placement"]],
        over_space=FORMS[candidate["form"]],
    )


def _digest(made):
    """The same for swaps that put the same layers into the same places."""
    layers = [
        [repr(steps), type(layer).__name__, layer.get_config()]
        for steps, layer in made.items()
    ]
    return fingerprint.of_settings({"layers": json.dumps(layers, default=str)})


def name_of(candidate: Candidate) -> str:
    """How a candidate is called, such as "linear, over space, 8"."""
    if not candidate["replaced"]:
        return AS_IS
    return "{placement}, {form}, {group_size}".format(**candidate)


def space_of(
    model: keras.Model,
    placements: Sequence[str] | Mapping[str, Where] | None,
    forms: Sequence[str] | None,
    group_sizes: Sequence[int],
) -> Space:
    """The space of `search_normalization`; see there for the arguments."""
    for form in forms or ():
        if form not in FORMS:
            raise UsageError(
                f"`forms` must be of {', '.join(map(repr, FORMS))}. Received: {form!r}"
            )
    list(find(model))  # raises if there is none
    known = known_placements(placements)
    found = candidates_of(
        model,
        known,
        forms or forms_of(model),
        group_sizes,
        strict=placements is not None,
    )
    first = next(iter(found.values()))
    none = dict.fromkeys(("placement", "form", "group_size", "digest"))
    as_is: Candidate = {**none, "replaced": 0, "of": first["of"]}
    candidates = {AS_IS: as_is, **found}

    def build(candidate):
        if not candidate["replaced"]:
            return copy_model(model)
        return swap_normalization(model, **arguments_of(candidate, known))[0]

    return Space(
        key="swap",
        choices={"candidate": list(candidates)},
        candidate=lambda values: candidates[values["candidate"]],
        as_is=as_is,
        single=list(candidates.values())[1:],
        name=name_of,
        build=build,
        digests={name: one["digest"] for name, one in candidates.items()},
    )
