"""Decides what stands for a normalization: its class, its groups, or that it stays."""

import math
from collections.abc import Callable

import keras
from keras import layers

from lng_keras.functional import DEFAULT_GROUP_SIZE, is_int, resolve_axes
from lng_keras.normalization import PositionalGroupLayerNormalization
from lng_keras.swap.norms import Norm, count
from lng_keras.swap.targets import CONVERTERS, GROUPED, Kept

SMALLEST_CHOSEN_SIZE = 3  # 2 channels a group is a sign function
# What to put in: a class of `CONVERTERS`, or a function that makes a layer or None.
Target = type[keras.layers.Layer] | Callable[[Norm], keras.layers.Layer | None]
# An argument: an int, a function from a norm to one, or None for the default.
Count = int | Callable[[Norm], int] | None


def replacement(
    norm: Norm,
    to: Target,
    groups: Count,
    group_size: Count,
    over_space: bool | None,
    indivisible: str,
) -> tuple[keras.layers.Layer, str]:
    """Builds the layer that replaces `norm`.

    Returns:
        `(layer, note)`: the unbuilt layer and what was decided for it, or "".

    Raises:
        Kept: if this normalization stays as it is.
        ValueError: if the groups do not fit and `indivisible="refuse"`.
    """
    if to not in CONVERTERS:
        layer = to(norm)
        if layer is None:
            raise Kept("`to` returned None for it")
        return layer, ""
    if not isinstance(norm.channels, int):
        raise Kept("its number of channels is unknown")
    chosen, note = {}, ""
    if to in GROUPED:
        chosen, note = _groups(norm, to, groups, group_size, over_space, indivisible)
    layer = CONVERTERS[to](norm, chosen, over_space)
    if same(norm, layer):
        raise Kept("it is that normalization already")
    return layer, note


def _groups(norm, to, groups, group_size, over_space, indivisible):
    channels = norm.channels
    pools = to is layers.GroupNormalization or bool(
        norm.over_space if over_space is None else over_space
    )
    if to is PositionalGroupLayerNormalization:
        pools = False
    if groups is None and group_size is None:
        if to is layers.GroupNormalization:
            # Its own groups if it has some; else Keras' default where that fits.
            own = norm.groups if type(norm.layer) in GROUPED else 32
            return {"groups": own if channels % own == 0 else 1}, ""
        group_size = DEFAULT_GROUP_SIZE
    groups = groups(norm) if callable(groups) else groups
    group_size = group_size(norm) if callable(group_size) else group_size
    for name, value in (("groups", groups), ("group_size", group_size)):
        if value is not None and not (is_int(value) and value >= 1):
            raise ValueError(
                f"`{name}` must be an int >= 1, or a function that returns one. "
                f"Received: {name}={value!r} for {norm.path!r}"
            )
    asked = f"groups={groups}" if groups else f"group_size={group_size}"
    size = channels / groups if groups else group_size
    fits = channels % (groups or group_size) == 0
    if fits and (pools or size > 1 or not norm.subtract_mean):
        return {"groups": groups} if groups else {"group_size": group_size}, ""
    problem = f"{asked} does not fit its {channels} channels"
    if indivisible == "refuse":
        raise ValueError(f"{norm.path!r}: {problem}")
    size = choose_group_size(channels, size, pools)
    if size is None:
        raise Kept(f"{problem}, and no divisor of 3 or more does")
    return {"group_size": size}, f"{problem}: groups of {size} instead"


def same(norm: Norm, layer: keras.layers.Layer) -> bool:
    """Whether `layer` computes what the layer of `norm` does."""
    if type(layer) is not type(norm.layer):
        return False
    compared = ("epsilon", "center", "scale", "subtract_mean", "momentum")
    if any(getattr(layer, a, 0) != getattr(norm.layer, a, 0) for a in compared):
        return False
    return (
        _set_axes(layer, norm) == _set_axes(norm.layer, norm)
        and count(layer, norm.channels) == norm.groups
    )


def _set_axes(layer, norm):
    return set(resolve_axes(_as_tuple(layer.axis), len(norm.shape)))


def _as_tuple(axis):
    return tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)


def choose_group_size(
    channels: int, wanted: float, over_space: bool = False
) -> int | None:
    """The divisor of `channels` nearest to `wanted` in ratio.

    The smaller of two as near, and not below 3 (2 channels a group is a sign
    function) unless the statistics are taken over space as well. `wanted` need not
    be an int, nor divide.

    Returns:
        int, or None if there is no such divisor.
    """
    least = 1 if over_space else SMALLEST_CHOSEN_SIZE
    sizes = [d for d in range(least, channels + 1) if channels % d == 0]
    return min(sizes, key=lambda d: (abs(math.log(d / wanted)), d), default=None)
