"""What a normalization layer is, whatever its class, and how to build another."""

import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
from keras import layers

from lng_keras.functional import DEFAULT_GROUP_SIZE, is_int, resolve_axes
from lng_keras.normalization import (
    GroupLayerNormalization,
    PositionalGroupLayerNormalization,
)

KNOWN = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.RMSNormalization,
    GroupLayerNormalization,
    PositionalGroupLayerNormalization,
)
# Named like normalizations, but none of activations' statistics with weights.
_OTHERS = (layers.Normalization, layers.UnitNormalization, layers.SpectralNormalization)
SMALLEST_CHOSEN_SIZE = 3  # 2 channels a group is a sign function


@dataclasses.dataclass(frozen=True)
class Norm:
    """A normalization found in a model.

    Attributes:
        path: str, where it is, such as "encoder/blocks[0].norm".
        layer: the layer itself.
        shape: tuple, its input shape, None for unknown sizes.
        axes: tuple of ints, normalized together, the channel axis last.
        groups: int, groups of channels with statistics of their own.
        subtract_mean: bool, False for the RMS form.
    """

    path: str
    layer: keras.layers.Layer
    shape: Any  # tuple; None of a norm that is kept whatever comes
    axes: tuple[int, ...]
    groups: int
    subtract_mean: bool

    @property
    def channels(self) -> Any:
        return self.shape[self.axes[-1]]

    @property
    def over_space(self) -> bool:
        return len(self.axes) > 1


def is_normalization(layer: keras.layers.Layer) -> bool:
    """Whether `layer` is, or by its name seems to be, a normalization."""
    if isinstance(layer, _OTHERS):
        return False
    name = type(layer).__name__
    return isinstance(layer, KNOWN) or name.endswith(("Normalization", "Norm"))


def reason_to_keep(layer: keras.layers.Layer, subclasses: bool = False) -> str | None:
    """Why `layer` is not to be described, or None if it is.

    Args:
        subclasses: bool, whether built subclasses of the classes in `KNOWN` are.
    """
    name = type(layer).__name__
    base = next((c.__name__ for c in KNOWN if isinstance(layer, c)), None)
    if base is None:
        return f"{name} is not a normalization known here"
    if type(layer) not in KNOWN and not (subclasses and input_shape(layer)):
        return f"{name} is a subclass of {base} and may do more"
    if getattr(layer, "rms_scaling", False):
        return "rms_scaling=True is deprecated and scales by the variance"
    return None


def describe(layer: keras.layers.Layer, path: str) -> Norm:
    """Returns the `Norm` of a built layer, of a class in `KNOWN` or below one."""
    shape = input_shape(layer)
    axes = resolve_axes(layer.axis, len(shape)) if shape else ()
    groups = _count(layer, shape[axes[-1]] if axes else None)
    subtract_mean = True
    if isinstance(layer, GroupLayerNormalization):
        subtract_mean = layer.subtract_mean
    elif isinstance(layer, layers.GroupNormalization):
        axes = _all_axes(shape, axes[-1])
    elif isinstance(layer, layers.RMSNormalization):
        subtract_mean = False
    if isinstance(layer, (layers.LayerNormalization, layers.RMSNormalization)):
        # Keras sorts these axes; the channels are the last of them, except where
        # the layer spans a channels-first map.
        axes = tuple(sorted(axes))
        if axes == tuple(range(1, len(shape))) and len(axes) > 1:
            if keras.config.image_data_format() == "channels_first":
                axes = axes[1:] + axes[:1]
    return Norm(path, layer, shape, axes, groups, subtract_mean)


def input_shape(layer: keras.layers.Layer) -> Any:
    """The shape a layer was built for, or None: unknown, or one of several."""
    shape = (layer.get_build_config() or {}).get("input_shape")
    return None if shape is None else tuple(shape)


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


def _all_axes(shape, channel_axis):
    return tuple(a for a in range(1, len(shape)) if a != channel_axis) + (channel_axis,)


def _compact(axes, rank):
    """Axes as a layer's argument: -1 where that says it."""
    if len(axes) > 1:
        return list(axes)
    return -1 if axes[0] == rank - 1 else axes[0]


def _target_axes(norm, over_space):
    if over_space is None:
        return norm.axes
    return _all_axes(norm.shape, norm.axes[-1]) if over_space else norm.axes[-1:]


def _weighted_axes(norm, over_space):
    """`_target_axes` for Keras' classes that have a weight for each number there."""
    axes = _target_axes(norm, over_space)
    if None in (norm.shape[a] for a in axes):
        raise Kept("its size over space is unknown")
    return axes


def _affine(layer):
    """Arguments for gamma and beta as `layer` has them; RMSNormalization has few."""
    if isinstance(layer, layers.RMSNormalization):
        return {}
    names = [f"{w}_{kind}" for w in ("beta", "gamma") for kind in _KINDS]
    return {name: getattr(layer, name) for name in names}


_KINDS = ("initializer", "regularizer", "constraint")


def _base(norm):
    layer = norm.layer
    return dict(
        name=layer.name,
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
        epsilon=layer.epsilon,
    )


def _center_scale(layer):
    if isinstance(layer, layers.RMSNormalization):
        return dict(center=False, scale=True)
    return dict(center=layer.center, scale=layer.scale)


def to_group_layer_norm(
    norm: Norm, groups: dict[str, Any], over_space: bool | None
) -> keras.layers.Layer:
    axes = _target_axes(norm, over_space)
    return GroupLayerNormalization(
        **groups,
        axis=_compact(axes, len(norm.shape)),
        subtract_mean=norm.subtract_mean,
        **_base(norm),
        **_center_scale(norm.layer),
        **_affine(norm.layer),
    )


def to_positional(
    norm: Norm, groups: dict[str, Any], over_space: bool | None
) -> keras.layers.Layer:
    channel_axis = norm.axes[-1]
    last = channel_axis == len(norm.shape) - 1
    return PositionalGroupLayerNormalization(
        **groups,
        data_format="channels_last" if last else "channels_first",
        subtract_mean=norm.subtract_mean,
        **_base(norm),
        **_center_scale(norm.layer),
        **_affine(norm.layer),
    )


def to_layer_norm(
    norm: Norm, groups: dict[str, Any], over_space: bool | None
) -> keras.layers.Layer:
    axes = _weighted_axes(norm, over_space)
    return layers.LayerNormalization(
        axis=_compact(axes, len(norm.shape)),
        **_base(norm),
        **_center_scale(norm.layer),
        **_affine(norm.layer),
    )


def to_group_norm(
    norm: Norm, groups: dict[str, Any], over_space: bool | None
) -> keras.layers.Layer:
    count = groups.get("groups") or norm.channels // groups["group_size"]
    return layers.GroupNormalization(
        groups=count,
        axis=_compact(norm.axes[-1:], len(norm.shape)),
        **_base(norm),
        **_center_scale(norm.layer),
        **_affine(norm.layer),
    )


def to_batch_norm(
    norm: Norm, groups: dict[str, Any], over_space: bool | None
) -> keras.layers.Layer:
    return layers.BatchNormalization(
        axis=_compact(norm.axes[-1:], len(norm.shape)),
        **_base(norm),
        **_center_scale(norm.layer),
        **_affine(norm.layer),
    )


def to_rms_norm(
    norm: Norm, groups: dict[str, Any], over_space: bool | None
) -> keras.layers.Layer:
    axes = _weighted_axes(norm, over_space)
    return layers.RMSNormalization(axis=_compact(axes, len(norm.shape)), **_base(norm))


CONVERTERS = {
    GroupLayerNormalization: to_group_layer_norm,
    PositionalGroupLayerNormalization: to_positional,
    layers.LayerNormalization: to_layer_norm,
    layers.GroupNormalization: to_group_norm,
    layers.BatchNormalization: to_batch_norm,
    layers.RMSNormalization: to_rms_norm,
}
GROUPED = (
    GroupLayerNormalization,
    PositionalGroupLayerNormalization,
    layers.GroupNormalization,
)
# Whether statistics are over space, where the class leaves no choice.
OVER_SPACE = {
    PositionalGroupLayerNormalization: False,
    layers.GroupNormalization: True,
    layers.BatchNormalization: True,
}


# What to put in: a class of `CONVERTERS`, or a function that makes a layer or None.
Target = type[keras.layers.Layer] | Callable[[Norm], keras.layers.Layer | None]
# An argument: an int, a function from a norm to one, or None for the default.
Count = int | Callable[[Norm], int] | None


class Kept(Exception):
    """A normalization stays as it is; the message says why."""


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
        and _count(layer, norm.channels) == norm.groups
    )


def _set_axes(layer, norm):
    return set(resolve_axes(_as_tuple(layer.axis), len(norm.shape)))


def _as_tuple(axis):
    return tuple(axis) if isinstance(axis, (list, tuple)) else (axis,)


def _count(layer, channels):
    if isinstance(layer, GroupLayerNormalization):
        return layer.groups or channels // (layer.group_size or DEFAULT_GROUP_SIZE)
    if isinstance(layer, layers.GroupNormalization):
        return channels if layer.groups == -1 else layer.groups
    return 1


def target_names() -> str:
    return ", ".join(c.__name__ for c in CONVERTERS)


def label(layer: keras.layers.Layer) -> str:
    """The class of a norm with its groups, for the report."""
    name = type(layer).__name__
    for argument in ("group_size", "groups"):
        if getattr(layer, argument, None):
            return f"{name}({argument}={getattr(layer, argument)})"
    return name
