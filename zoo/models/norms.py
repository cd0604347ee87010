"""The names of `--norm` and the layer each of them builds.

A model declares the form of the tensors its norms see, and a name is resolved for
that form. "Statistics over" tells which numbers share one mean and variance:

| name | "maps" `(b, h, w, c)` | "tokens" `(b, n, c)` | "vectors" `(b, c)` |
|---|---|---|---|
| `bn` | b, h, w | b, n | b |
| `ln` | h, w, c | c | c |
| `ln_position` | c | c | c |
| `gn` | h, w, channels of a group | n, channels of a group | channels of a group |
| `in` | h, w | n | refused: one number has no variance |
| `rms` | as `ln`, without subtracting the mean | | |
| `lng` | h, w, channels of a group | channels of a group | channels of a group |
| `lng_position` | channels of a group | channels of a group | channels of a group |
| `none` | the identity | | |

`gn` and `lng` on maps are the same function; they differ in what stays constant
when widths vary. `gn` counts groups (`--groups`, default 4: the GroupNorm paper's 32
does not divide the 16 channels of a CIFAR ResNet), `lng` counts channels a group
(`--group_size`, default 8 from the layer). Either flag may be given to either name.

Every norm uses epsilon 1e-5 (the authors' and PyTorch's; Keras' own default is
1e-3) and has a scale and an offset of shape `(c,)`, one per channel; `rms` has no
offset, as in its paper. `bn` averages its statistics with momentum 0.9, as He et
al. train (Keras' own 0.99 lags behind in runs of a few epochs).
"""

import functools

import keras

from lng_keras import GroupLayerNormalization

EPSILON = 1e-5
GN_GROUPS = 4

# The axes of everything but the batch, the channels last.
FORMS = {"maps": (1, 2, 3), "tokens": (1, 2), "vectors": (1,)}


def _bn(form):
    return functools.partial(
        keras.layers.BatchNormalization, epsilon=EPSILON, momentum=0.9
    )


def _ln(form):
    axis = FORMS[form] if form == "maps" else -1
    return functools.partial(
        GroupLayerNormalization, groups=1, axis=axis, epsilon=EPSILON
    )


def _ln_position(form):
    return functools.partial(
        GroupLayerNormalization, groups=1, axis=-1, epsilon=EPSILON
    )


def _gn(form, groups=None, group_size=None):
    if groups is None and group_size is None:
        groups = GN_GROUPS
    return functools.partial(
        GroupLayerNormalization,
        groups=groups,
        group_size=group_size,
        axis=FORMS[form],
        epsilon=EPSILON,
    )


def _in(form):
    if form == "vectors":
        raise ValueError(
            "Instance normalization needs positions to take statistics over, and "
            "this model has vectors of shape (batch, channels). Use another norm."
        )
    return functools.partial(
        GroupLayerNormalization, group_size=1, axis=FORMS[form], epsilon=EPSILON
    )


def _rms(form):
    return functools.partial(_ln(form), subtract_mean=False, center=False)


def _lng(form, groups=None, group_size=None):
    axis = FORMS[form] if form == "maps" else -1
    return functools.partial(
        GroupLayerNormalization,
        groups=groups,
        group_size=group_size,
        axis=axis,
        epsilon=EPSILON,
    )


def _lng_position(form, groups=None, group_size=None):
    return functools.partial(
        GroupLayerNormalization,
        groups=groups,
        group_size=group_size,
        axis=-1,
        epsilon=EPSILON,
    )


def _none(form):
    return keras.layers.Identity


NAMES = {
    "bn": _bn,
    "ln": _ln,
    "ln_position": _ln_position,
    "gn": _gn,
    "in": _in,
    "rms": _rms,
    "lng": _lng,
    "lng_position": _lng_position,
    "none": _none,
}
GROUPED = ("gn", "lng", "lng_position")


def resolve(name, form, groups=None, group_size=None):
    """Returns the callable `norm(name=...) -> layer` that a builder takes.

    Args:
        name: a key of `NAMES`.
        form: "maps", "tokens" or "vectors", what the model normalizes.
        groups, group_size: ints or None, for the names in `GROUPED` only.

    Raises:
        ValueError: for an unknown name, for `groups` or `group_size` with a norm
            that has no groups, and for `in` on vectors.
    """
    if name not in NAMES:
        raise ValueError(
            f"Unknown norm. Received: norm={name!r}. Known: {', '.join(NAMES)}."
        )
    if name in GROUPED:
        return NAMES[name](form, groups=groups, group_size=group_size)
    if groups is not None or group_size is not None:
        raise ValueError(
            f"norm={name!r} has no groups to set. Received: groups={groups}, "
            f"group_size={group_size}. Norms with groups: {', '.join(GROUPED)}."
        )
    return NAMES[name](form)
