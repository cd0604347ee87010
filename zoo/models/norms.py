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

A fourth form, "sequences", are tokens one after the other, which must not learn of
later ones: statistics are those of each token, as for "vectors", `in` is refused, and
`bn` alone takes them over b, n in training, padding included.

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

GN_GROUPS = 4

# The axes of everything but the batch, the channels last.
FORMS = {"maps": (1, 2, 3), "tokens": (1, 2), "sequences": (2,), "vectors": (1,)}
_POSITION = dict.fromkeys(FORMS, -1)
_SPACE_OF_MAPS = {**_POSITION, "maps": FORMS["maps"]}
_SPACE = {form: axes for form, axes in FORMS.items() if len(axes) > 1}

_EPSILON = {"epsilon": 1e-5}
_RMS = {"subtract_mean": False, "center": False}

# name -> layer, arguments, axes by form; None where the layer finds them itself.
NAMES = {
    "bn": (keras.layers.BatchNormalization, {"momentum": 0.9, **_EPSILON}, None),
    "ln": (GroupLayerNormalization, {"groups": 1, **_EPSILON}, _SPACE_OF_MAPS),
    "ln_position": (GroupLayerNormalization, {"groups": 1, **_EPSILON}, _POSITION),
    "gn": (GroupLayerNormalization, {"groups": GN_GROUPS, **_EPSILON}, FORMS),
    "in": (GroupLayerNormalization, {"group_size": 1, **_EPSILON}, _SPACE),
    "rms": (GroupLayerNormalization, {"groups": 1, **_RMS, **_EPSILON}, _SPACE_OF_MAPS),
    "lng": (GroupLayerNormalization, _EPSILON, _SPACE_OF_MAPS),
    "lng_position": (GroupLayerNormalization, _EPSILON, _POSITION),
    "none": (keras.layers.Identity, {}, None),
}
GROUPED = ("gn", "lng", "lng_position")


def layer_maker(name, form, groups=None, group_size=None):
    """Returns the callable `norm(name=...) -> layer` that a builder takes.

    Args:
        name: a key of `NAMES`.
        form: a key of `FORMS`, what the model normalizes.
        groups, group_size: ints or None, for the names in `GROUPED` only.

    Raises:
        ValueError: for an unknown name, for `groups` or `group_size` with a norm
            that has no groups, and for `in` on sequences and vectors.
    """
    if name not in NAMES:
        raise ValueError(
            f"Unknown norm. Received: norm={name!r}. Known: {', '.join(NAMES)}."
        )
    layer, arguments, axes = NAMES[name]
    if groups is not None or group_size is not None:
        if name not in GROUPED:
            raise ValueError(
                f"norm={name!r} has no groups to set. Received: groups={groups}, "
                f"group_size={group_size}. Norms with groups: {', '.join(GROUPED)}."
            )
        arguments = {**arguments, "groups": groups, "group_size": group_size}
    if axes is not None:
        if form not in axes:
            raise ValueError(
                "Instance normalization needs positions to take statistics over: "
                "vectors (batch, channels) have none, and those of a sequence would "
                "tell a token of later ones. Use another norm."
            )
        arguments = {**arguments, "axis": axes[form]}
    return functools.partial(layer, **arguments)
