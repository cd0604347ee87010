"""The models of the zoo: one entry each, and what builds them by name."""

import dataclasses
import functools
import inspect
import typing

import keras

from zoo.models import ln_net, norms, resnet_na, transformer, vit


@dataclasses.dataclass(frozen=True)
class Model:
    """What the zoo knows of one model.

    Args:
        build: function that takes `norm(name=...) -> layer` first, `num_classes`,
            `input_shape` if it takes images, and arguments of its own, and returns a
            functional `keras.Model`. Its own arguments are flags of train.py.
        form: what its norms see: "maps", "tokens", "sequences" or "vectors", see
            norms.py.
        recipe: dict, the settings of a training where no flag says otherwise.
        group_size: int, channels of a group of `lng` at the model's own width, where
            the layer's default does not divide that; or None.
        task: "classification" of images or "translation" of text.
    """

    build: typing.Callable[..., keras.Model]
    form: str
    recipe: dict
    group_size: int | None = None
    task: str = "classification"


# Recipes are usual values, not tuned; the epochs fit into minutes on two CPU cores.
_VIT = Model(
    vit.build,
    form="tokens",
    recipe=dict(
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        label_smoothing=0.1,
        clip_norm=1.0,
        epochs=25,
        warmup_epochs=3.0,
        batch_size=64,
    ),
)
_TRANSFORMER = Model(
    functools.partial(transformer.build, **transformer.VARIANTS["tiny"]),
    form="sequences",
    recipe=dict(
        optimizer="adamw",
        learning_rate=2e-3,
        weight_decay=0.01,
        label_smoothing=0.1,
        clip_norm=1.0,
        epochs=8,
        warmup_epochs=1.0,
        batch_size=2048,
    ),
    task="translation",
)
MODELS = {
    "vit": _VIT,
    **{
        f"vit_{name.lower()}": dataclasses.replace(
            _VIT, build=functools.partial(vit.build, **variant)
        )
        for name, variant in vit.VARIANTS.items()
    },
    "resnet_na": Model(
        resnet_na.build,
        form="maps",
        recipe=dict(
            optimizer="sgd",
            learning_rate=0.1,
            weight_decay=5e-3,
            label_smoothing=0.0,
            clip_norm=1.0,
            epochs=15,
            warmup_epochs=1.0,
            batch_size=64,
        ),
    ),
    "ln_net": Model(
        ln_net.build,
        form="vectors",
        recipe=dict(
            optimizer="sgd",
            learning_rate=0.05,
            weight_decay=0.0,
            label_smoothing=0.0,
            clip_norm=1.0,
            epochs=30,
            warmup_epochs=1.0,
            batch_size=64,
        ),
        group_size=10,  # of its width 100
    ),
    "transformer": _TRANSFORMER,
    **{
        f"transformer_{name}": dataclasses.replace(
            _TRANSFORMER, build=functools.partial(transformer.build, **variant)
        )
        for name, variant in transformer.VARIANTS.items()
    },
}
_COMMON = ("norm", "num_classes", "input_shape")


def build(
    name,
    norm="lng",
    groups=None,
    group_size=None,
    num_classes=None,
    input_shape=None,
    **model_arguments,
):
    """Builds a model of the zoo.

    Args:
        name: a key of `MODELS`.
        norm: a key of `norms.NAMES`, or a callable `norm(name=...) -> layer`.
        groups, group_size: ints or None, for a `norm` name that has groups. One of
            them at most; neither is the norm's own default.
        num_classes: int, the number of logits; None is the model's default, 10, or
            8,000 subwords.
        input_shape: `(height, width, channels)` of the images, None is (32, 32, 3);
            text has none.
        **model_arguments: of the builder, see `arguments(name)`.

    Returns:
        A functional `keras.Model` from images `(b, *input_shape)` to float32 logits
        `(b, num_classes)`; a transformer's inputs and outputs are in transformer.py.

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
    given = {}
    if num_classes is not None:
        given["num_classes"] = num_classes
    if input_shape is not None:
        given["input_shape"] = tuple(input_shape)
        if model(name).task == "translation":
            raise ValueError(
                f"Model {name!r} takes text. Received: input_shape={input_shape}"
            )
    made = []

    def remembering(name):
        made.append(name)
        return norm(name=name)

    try:
        return model(name).build(remembering, **given, **model_arguments)
    except ValueError as error:
        # A norm is called as soon as it is made: the last one made is the one that
        # does not fit its input. Other errors say nothing of groups.
        if made and "`group" in str(error):
            raise ValueError(f"{name}, layer {made[-1]!r}: {error}") from error
        raise


def model(name):
    """Returns the entry of a model. Raises ValueError if there is none."""
    if name not in MODELS:
        raise ValueError(
            f"Unknown model. Received: {name!r}. Known: {', '.join(MODELS)}."
        )
    return MODELS[name]


def arguments(name):
    """Returns the names of a model's own arguments, with their defaults, as a dict."""
    parameters = inspect.signature(model(name).build).parameters.values()
    return {p.name: p.default for p in parameters if p.name not in _COMMON}


def form(name):
    """Returns what a model's norms see: a key of `norms.FORMS`."""
    return model(name).form
