"""What a normalization layer is, whatever its class."""

import dataclasses
from typing import Any

import keras
from keras import layers

from lng_keras.functional import DEFAULT_GROUP_SIZE, resolve_axes
from lng_keras.normalization import (
    GroupLayerNormalization,
    PositionalGroupLayerNormalization,
)
from lng_keras.swap.rms import is_rms

KNOWN = (
    layers.BatchNormalization,
    layers.LayerNormalization,
    layers.GroupNormalization,
    layers.RMSNormalization,
    GroupLayerNormalization,
    PositionalGroupLayerNormalization,
)
# Besides these, rms.py knows classes by what they compute.
# Named like normalizations, but none of activations' statistics with weights.
_OTHERS = (layers.Normalization, layers.UnitNormalization, layers.SpectralNormalization)


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
        placement: `Placement`, what its output meets next; None if not asked for, or
            if it cannot be told.
    """

    path: str
    layer: keras.layers.Layer
    shape: Any  # tuple; None of a norm that is kept whatever comes
    axes: tuple[int, ...]
    groups: int
    subtract_mean: bool
    placement: Any = None

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
        known = input_shape(layer) and is_rms(layer)
        return None if known else f"{name} is not a normalization known here"
    if type(layer) not in KNOWN and not (subclasses and input_shape(layer)):
        return f"{name} is a subclass of {base} and may do more"
    if getattr(layer, "rms_scaling", False):
        return "rms_scaling=True is deprecated and scales by the variance"
    return None


def describe(layer: keras.layers.Layer, path: str) -> Norm:
    """Returns the `Norm` of a built layer that `reason_to_keep` does not keep."""
    shape = input_shape(layer)
    if not isinstance(layer, KNOWN):
        return Norm(path, layer, shape, (len(shape) - 1,), 1, subtract_mean=False)
    axes = resolve_axes(layer.axis, len(shape)) if shape else ()
    groups = count(layer, shape[axes[-1]] if axes else None)
    subtract_mean = True
    if isinstance(layer, GroupLayerNormalization):
        subtract_mean = layer.subtract_mean
    elif isinstance(layer, layers.GroupNormalization):
        axes = all_axes(shape, axes[-1])
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


def label(layer: keras.layers.Layer) -> str:
    """The class of a norm with its groups, for the report."""
    name = type(layer).__name__
    for argument in ("group_size", "groups"):
        if getattr(layer, argument, None):
            return f"{name}({argument}={getattr(layer, argument)})"
    return name


def all_axes(shape: Any, channel_axis: int) -> tuple[int, ...]:
    """Space and channels, those last."""
    return tuple(a for a in range(1, len(shape)) if a != channel_axis) + (channel_axis,)


def count(layer: keras.layers.Layer, channels: Any) -> int:
    """How many groups of channels have statistics of their own."""
    if isinstance(layer, GroupLayerNormalization):
        return layer.groups or channels // (layer.group_size or DEFAULT_GROUP_SIZE)
    if isinstance(layer, layers.GroupNormalization):
        return channels if layer.groups == -1 else layer.groups
    return 1
