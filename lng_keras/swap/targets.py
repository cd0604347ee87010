"""Builds a normalization of another class, with what a found one has."""

from keras import layers

from lng_keras.normalization import (
    GroupLayerNormalization,
    PositionalGroupLayerNormalization,
)
from lng_keras.swap.norms import all_axes
from lng_keras.swap.rms import is_rms


class Kept(Exception):
    """A normalization stays as it is; the message says why."""


def _compact(axes, rank):
    """Axes as a layer's argument: -1 where that says it."""
    if len(axes) > 1:
        return list(axes)
    return -1 if axes[0] == rank - 1 else axes[0]


def _target_axes(norm, over_space):
    if over_space is None:
        return norm.axes
    return all_axes(norm.shape, norm.axes[-1]) if over_space else norm.axes[-1:]


def _weighted_axes(norm, over_space):
    """`_target_axes` for Keras' classes that have a weight for each number there."""
    axes = _target_axes(norm, over_space)
    if None in (norm.shape[a] for a in axes):
        raise Kept("its size over space is unknown")
    return axes


def _base(norm):
    layer = norm.layer
    return dict(
        name=layer.name,
        dtype=layer.dtype_policy,
        trainable=layer.trainable,
        epsilon=layer.epsilon,
    )


def _with_weights(norm):
    """`_base`, and gamma and beta as the layer has them; RMS norms have few."""
    layer = norm.layer
    if is_rms(layer):
        return dict(**_base(norm), center=False, scale=True)
    kinds = ("initializer", "regularizer", "constraint")
    names = [f"{weight}_{kind}" for weight in ("beta", "gamma") for kind in kinds]
    return {
        **_base(norm),
        **{name: getattr(layer, name) for name in ("center", "scale", *names)},
    }


# Each a function (norm, groups, over_space) -> the layer, `groups` an argument of it.


def _group_layer_norm(norm, groups, over_space):
    return GroupLayerNormalization(
        **groups,
        axis=_compact(_target_axes(norm, over_space), len(norm.shape)),
        subtract_mean=norm.subtract_mean,
        **_with_weights(norm),
    )


def _positional(norm, groups, over_space):
    last = norm.axes[-1] == len(norm.shape) - 1
    return PositionalGroupLayerNormalization(
        **groups,
        data_format="channels_last" if last else "channels_first",
        subtract_mean=norm.subtract_mean,
        **_with_weights(norm),
    )


def _layer_norm(norm, groups, over_space):
    axis = _compact(_weighted_axes(norm, over_space), len(norm.shape))
    return layers.LayerNormalization(axis=axis, **_with_weights(norm))


def _group_norm(norm, groups, over_space):
    count = groups.get("groups") or norm.channels // groups["group_size"]
    axis = _compact(norm.axes[-1:], len(norm.shape))
    return layers.GroupNormalization(groups=count, axis=axis, **_with_weights(norm))


def _batch_norm(norm, groups, over_space):
    axis = _compact(norm.axes[-1:], len(norm.shape))
    return layers.BatchNormalization(axis=axis, **_with_weights(norm))


def _rms_norm(norm, groups, over_space):
    axis = _compact(_weighted_axes(norm, over_space), len(norm.shape))
    return layers.RMSNormalization(axis=axis, **_base(norm))


CONVERTERS = {
    GroupLayerNormalization: _group_layer_norm,
    PositionalGroupLayerNormalization: _positional,
    layers.LayerNormalization: _layer_norm,
    layers.GroupNormalization: _group_norm,
    layers.BatchNormalization: _batch_norm,
    layers.RMSNormalization: _rms_norm,
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


def target_names() -> str:
    return ", ".join(c.__name__ for c in CONVERTERS)
