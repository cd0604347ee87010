"""The models of the zoo by name: the builder, and the form of what its norms see."""

import functools
import inspect

from zoo.models import ln_net, norms, resnet_na, vit

# name -> builder. A builder takes `norm(name=...) -> layer` first, `num_classes`,
# `input_shape` and its own arguments, and returns a functional keras.Model.
MODELS = {
    "vit": vit.build,
    **{
        f"vit_{name.lower()}": functools.partial(vit.build, **variant)
        for name, variant in vit.VARIANTS.items()
    },
    "resnet_na": resnet_na.build,
    "ln_net": ln_net.build,
}
# What the norms of each builder see; see norms.py.
_FORMS = {vit.build: "tokens", resnet_na.build: "maps", ln_net.build: "vectors"}
_COMMON = ("norm", "num_classes", "input_shape")


def build(
    name,
    norm="lng",
    groups=None,
    group_size=None,
    num_classes=10,
    input_shape=(32, 32, 3),
    **model_arguments,
):
    """Builds a model of the zoo.

    Args:
        name: a key of `MODELS`.
        norm: a key of `norms.NAMES`, or a callable `norm(name=...) -> layer`.
        groups, group_size: ints or None, for a `norm` name that has groups. One of
            them at most; neither is the norm's own default.
        num_classes: int, the number of logits.
        input_shape: `(height, width, channels)` of the images.
        **model_arguments: of the builder, see `arguments(name)`.

    Returns:
        A functional `keras.Model` from images `(b, *input_shape)` to float32 logits
        `(b, num_classes)`.

    Raises:
        ValueError: for an unknown name, norm or argument, and for groups that do
            not fit a layer, which is named.
    """
    known = arguments(name)
    for argument in model_arguments:
        if argument not in known:
            raise ValueError(
                f"Model {name!r} has no argument {argument!r}. "
                f"Its arguments: {', '.join(known)}."
            )
    if isinstance(norm, str):
        norm = norms.layer_maker(norm, form(name), groups, group_size)
    elif groups is not None or group_size is not None:
        raise ValueError(
            "`groups` and `group_size` belong to a norm given by name. "
            f"Received: norm={norm!r}, groups={groups}, group_size={group_size}"
        )
    made = []

    def remembering(name):
        made.append(name)
        return norm(name=name)

    try:
        return MODELS[name](
            remembering,
            num_classes=num_classes,
            input_shape=tuple(input_shape),
            **model_arguments,
        )
    except ValueError as error:
        # A norm is called as soon as it is made: the last one made is the one that
        # does not fit its input. Other errors say nothing of groups.
        if made and "`group" in str(error):
            raise ValueError(f"{name}, layer {made[-1]!r}: {error}") from error
        raise


def arguments(name):
    """Returns the names of a model's own arguments, with their defaults, as a dict."""
    parameters = inspect.signature(_builder(name)).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in _COMMON}


def form(name):
    """Returns what a model's norms see: "maps", "tokens" or "vectors"."""
    builder = _builder(name)
    return _FORMS[getattr(builder, "func", builder)]


def _builder(name):
    if name not in MODELS:
        raise ValueError(
            f"Unknown model. Received: {name!r}. Known: {', '.join(MODELS)}."
        )
    return MODELS[name]
