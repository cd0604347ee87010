"""`swap_normalization`: plans a swap, rebuilds the model and carries the weights."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import keras
from keras import saving

from lng_keras.normalization import GroupLayerNormalization
from lng_keras.swap import norms, rebuild, replacement, targets, transfer
from lng_keras.swap.placement import placements
from lng_keras.swap.report import KEPT, LEFT_OUT, REPLACED, Row, SwapReport
from lng_keras.swap.serialized import serialize
from lng_keras.swap.walk import Steps, text, walk
from lng_keras.swap.where import Where, check, matches


def swap_normalization(
    model: keras.layers.Layer,
    to: replacement.Target = GroupLayerNormalization,
    group_size: replacement.Count = None,
    groups: replacement.Count = None,
    where: Where = None,
    over_space: bool | None = None,
    indivisible: str = "nearest",
    in_place: bool = False,
) -> tuple[keras.layers.Layer, SwapReport]:
    """Returns a copy of `model` with its normalizations replaced, and a report.

    All other weights are carried over bit for bit, and gamma and beta of the
    normalizations where the new ones have them in a shape that agrees. Layers keep
    their names and the model given is not changed. The copy trains, saves and loads
    like any model, provided that `lng_keras.swap` is imported where it is loaded.

    Models and layers that make their layers themselves come back as instances of
    their class whose config records the swap. Where their own config does not rebuild
    them they are copied without their constructor; of such a copy only the weights can
    be saved.

    Args:
        model: built `keras.Model`, or a built layer.
        to: what to put in: `GroupLayerNormalization` or
            `PositionalGroupLayerNormalization`; Keras' `LayerNormalization`,
            `GroupNormalization`, `BatchNormalization` or `RMSNormalization`; or a
            function from a norm (with `path`, `layer`, `shape`, `channels`, `axes`)
            to a new layer, or to None to keep it. Subclasses of these classes may
            do more than they: only a function replaces them.
        group_size: int, channels of a group, or a function from a norm to it.
            Default 8.
        groups: int or function, the number of groups instead.
        where: which to replace. A pattern such as "stage2*", matched against paths
            and layer names; or "linear": those whose output meets no nonlinearity
            before the next linear map; or "residual": those whose output goes into
            an addition and nowhere else; or a list of these; or a function from a
            norm to a bool. None: all.
        over_space: None: statistics over the axes the replaced norm has them over
            (BatchNormalization: each position by itself). True: over space as well.
            False: each position by itself.
        indivisible: where groups do not fit the channels, "nearest" takes the
            divisor of the channels nearest to the size asked for, in ratio, the
            smaller of two as near, and never below 3 unless statistics are over
            space as well; "refuse" raises and names the layer.
        in_place: bool, exchange the normalizations of `model` itself, for a model that
            cannot be copied, or is too large to. A compiled model is compiled anew.

    Returns:
        `(model, report)`; the report is a `SwapReport`.

    Raises:
        ValueError: if the model is not built or has no normalization, or `where`
            selects none, or an argument is out of range or has no effect with this
            `to`, or groups do not fit under "refuse".
        RuntimeError: if a layer can neither be rebuilt nor copied; `in_place=True`
            is what is left.
    """
    apply = _exchange if in_place else _apply
    return apply(
        model, *plan(model, to, group_size, groups, where, over_space, indivisible)
    )


def plan(
    model: keras.layers.Layer,
    to: replacement.Target = GroupLayerNormalization,
    group_size: replacement.Count = None,
    groups: replacement.Count = None,
    where: Where = None,
    over_space: bool | None = None,
    indivisible: str = "nearest",
) -> tuple[list[Row], dict[Steps, keras.layers.Layer], dict[str, norms.Norm], str]:
    """What `swap_normalization` with these arguments would do.

    Returns:
        `(rows, made, originals, problem)`: one row a normalization; the new layers,
        not built, and those they replace; and why it cannot be told what follows
        some, or "".
    """
    _check(model, to, group_size, groups, over_space, indivisible)
    rows: list[Row] = []
    made: dict[Steps, keras.layers.Layer] = {}
    originals: dict[str, norms.Norm] = {}
    found, problem = _placed(model, subclasses=to not in targets.CONVERTERS)
    check(where, [norm for _, norm in found], problem)
    for steps, norm in found:
        row = Row(norm.path, KEPT, norms.label(norm.layer), channels=_channels(norm))
        row.follows = str(norm.placement or "")
        rows.append(row)
        if not norm.shape:
            row.reason = norms.reason_to_keep(norm.layer) or ""
            continue
        if not matches(where, norm):
            row.status = LEFT_OUT
            continue
        try:
            layer, row.reason = replacement.replacement(
                norm, to, groups, group_size, over_space, indivisible
            )
        except targets.Kept as kept:
            row.reason = str(kept)
            continue
        row.status = REPLACED
        row.after = norms.label(layer)
        made[steps] = layer
        originals[norm.path] = norm
    return rows, made, originals, problem


def find(
    model: keras.layers.Layer, subclasses: bool = False
) -> Iterator[tuple[Steps, norms.Norm]]:
    """Yields `(steps, norm)` for each normalization of a built model.

    A norm that a swap keeps whatever it puts in has no shape. So have subclasses of
    known classes, unless `subclasses` asks to describe them like these.
    """
    count = 0
    if norms.is_normalization(model):
        raise ValueError(
            f"{type(model).__name__} is a normalization itself; give the model it is in"
        )
    for steps, layer in walk(model, stop=norms.is_normalization):
        if not norms.is_normalization(layer):
            continue
        count += 1
        path = text(model, steps)
        if norms.reason_to_keep(layer, subclasses):
            yield steps, norms.Norm(path, layer, None, (), 1, True)
        elif not layer.built:
            raise ValueError(
                f"The model must be built: {path!r} has no weights yet. Call the "
                "model on an input first."
            )
        else:
            yield steps, norms.describe(layer, path)
    if not count:
        raise ValueError(
            f"No normalization layer found in model {model.name!r}, so there is "
            "nothing to swap."
        )


def _placed(model, subclasses):
    """What `find` finds, with the placements, and why some cannot be told, or ""."""
    found = list(find(model, subclasses))
    placed, problem = placements(model)
    return [
        (steps, dataclasses.replace(norm, placement=placed.get(id(norm.layer))))
        for steps, norm in found
    ], problem


def _check(model, to, group_size, groups, over_space, indivisible):
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(
            f"`model` must be a Keras model or layer. Received: {type(model).__name__}"
        )
    if isinstance(to, type) and to not in targets.CONVERTERS or not callable(to):
        raise ValueError(
            f"`to` must be one of {targets.target_names()}, or a function from a norm "
            f"to a layer. Received: to={to!r}"
        )
    if group_size is not None and groups is not None:
        raise ValueError(
            "Give `groups` or `group_size`, not both. "
            f"Received: groups={groups}, group_size={group_size}"
        )
    if indivisible not in ("nearest", "refuse"):
        raise ValueError(
            '`indivisible` must be "nearest" or "refuse". '
            f"Received: indivisible={indivisible!r}"
        )
    what, fixed = "what a function makes", None
    if to in targets.CONVERTERS:
        what, fixed = to.__name__, targets.OVER_SPACE.get(to, over_space)
    for name, value, taken in (
        ("group_size", group_size, to in targets.GROUPED),
        ("groups", groups, to in targets.GROUPED),
        ("over_space", over_space, over_space == fixed),
    ):
        if value is not None and not taken:
            raise ValueError(
                f"`{name}` has no effect on {what}. "
                f"Received: {name}={value!r}. Leave it out."
            )


def _channels(norm):
    return norm.channels if norm.shape else None


def _apply(model, rows, made, originals, problem=""):
    replaced = {id(norm.layer) for norm in originals.values()}
    saved = _saved(originals)
    used = [model, *(layer for _, layer in walk(model)), *made.values()]
    with saving.custom_object_scope(_scope(map(type, used))):
        try:
            new, carried = _copy(model, made, replaced, constructors=True)
        except Exception:  # of a constructor or a config that tell something else
            try:
                new, carried = _copy(model, made, replaced, constructors=False)
            except Exception as error:
                raise RuntimeError(
                    f"{type(model).__name__} {model.name!r} cannot be copied: "
                    f"{' '.join(str(error).split())[:200]}. swap_normalization(..., "
                    "in_place=True) exchanges the normalizations of the model itself."
                ) from error
    return new, _report(rows, originals, carried, saved, problem)


def _copy(model, made, replaced, constructors):
    """Returns the swapped copy and what `copy_weights` carried to it."""
    new = rebuild.rebuild(model, _serialized(made), {}, constructors)
    if not new.built:
        new.build_from_config(model.get_build_config())
        new.built = True  # which Keras leaves to the first call of a model
    compiled = getattr(model, "compiled", False)
    if compiled and not rebuild.is_plain(model) and not new.compiled:
        new.compile_from_config(model.get_compile_config())
    transfer.rename(model, new)
    return new, transfer.copy_weights(model, new, replaced)


def _exchange(model, rows, made, originals, problem):
    saved = _saved(originals)
    used = [model, *(layer for _, layer in walk(model)), *made.values()]
    with saving.custom_object_scope(_scope(map(type, used))):
        exchanged = rebuild.exchange_in_place(model, _serialized(made))
    carried = {
        id(norm.layer): transfer.copy_norm(norm.layer, exchanged[id(norm.layer)])
        for norm in originals.values()
    }
    if getattr(model, "compiled", False):
        model.compile_from_config(model.get_compile_config())
    for function in ("train_function", "test_function", "predict_function"):
        if hasattr(model, function):
            setattr(model, function, None)  # of the old layers
    return model, _report(rows, originals, carried, saved, problem)


def _serialized(made):
    return {steps: serialize(layer) for steps, layer in made.items()}


def _saved(originals):
    """What `restore` needs: path -> (class, serialized, weights)."""
    return {
        path: (
            type(norm.layer),
            serialize(norm.layer),
            transfer.weights_of(norm.layer),
        )
        for path, norm in originals.items()
    }


def _report(rows, originals, carried, saved, problem):
    for row in rows:
        if row.status == REPLACED:
            result = carried[id(originals[row.path].layer)]
            row.carried, row.lost = result.names, result.lost
            if norms.label(result.layer) != row.after:
                raise RuntimeError(
                    f"{row.path!r} is {norms.label(result.layer)} in the rebuilt model "
                    f"instead of {row.after}. Its config must rebuild it."
                )
    return SwapReport(rows, lambda model: restore(model, saved), problem)


def _scope(classes):
    """Names of classes in use, so that unregistered ones can be rebuilt."""
    custom = {c for c in classes if c.__module__.split(".")[0] != "keras"}
    custom = {getattr(c, "_original", c) for c in custom}
    scope = {c.__name__: c for c in custom}
    scope.update({saving.get_registered_name(c): c for c in custom})
    return scope


def copy_model(model: keras.Model) -> keras.Model:
    """A copy of a built model, all weights carried over."""
    return _apply(model, [], {}, {})[0]


def restore(
    model: keras.Model,
    originals: dict[str, tuple[type, dict[str, Any], dict[str, Any]]],
) -> tuple[keras.Model, SwapReport]:
    """Puts back the layers of `originals`: path -> (class, serialized, weights)."""

    def original(norm):
        cls, serialized, _ = originals[norm.path]
        with saving.custom_object_scope(_scope([cls])):
            return saving.deserialize_keras_object(serialized)

    new, report = swap_normalization(
        model, to=original, where=lambda norm: norm.path in originals
    )
    reasons = {row.path: row.reason for row in report.kept}
    replaced = {row.path for row in report.replaced}
    for path in originals:
        if path not in replaced:
            raise ValueError(
                f"{path!r} cannot be put back: "
                f"{reasons.get(path, 'the model has no normalization there')}. "
                "Give the model that this swap made, or go on with the original."
            )
    for _, norm in find(new):
        if norm.path in originals:
            *_, weights = originals[norm.path]
            for variable in norm.layer.weights:
                if variable.name.startswith("moving"):
                    variable.assign(weights[variable.name])
    return new, report
