"""Settings of the optimization."""

import dataclasses

from zoo.training.settings.field import setting


@dataclasses.dataclass(frozen=True)
class Optimization:
    """How weights are found. None is the model's recipe, zoo/models/registry.py."""

    epochs: int | None = setting(
        None,
        "Passes over the training images. Default by model: what fits into minutes on "
        "the sample.",
        at_least=1,
    )
    batch_size: int | None = setting(
        None,
        "Images a step, of all devices together. Default 64: small data sets gain "
        "from many steps.",
        at_least=1,
    )
    optimizer: str | None = setting(
        None,
        "Default: adamw for vit, sgd (Nesterov momentum 0.9) for the others, as "
        "published.",
        choices=("adamw", "sgd"),
    )
    learning_rate: float | None = setting(
        None,
        "Highest learning rate, per step of --batch_size images. Default by model: "
        "0.001 (vit), 0.1 (resnet_na), 0.05 (ln_net).",
        at_least=0.0,
    )
    warmup_epochs: float | None = setting(
        None,
        "Epochs of linear rise before the cosine to 0. Default by model: 3 (vit), 1.",
        at_least=0.0,
    )
    weight_decay: float | None = setting(
        None,
        "Fraction of each kernel removed a step at learning rate 1 (decoupled); "
        "gamma, beta, bias and positions are left alone. Default by model: 0.05 "
        "(vit), 0.005 (resnet_na: 0.0005 of the papers' coupled decay over 1 - "
        "momentum), 0 (ln_net).",
        at_least=0.0,
    )
    label_smoothing: float | None = setting(
        None,
        "Fraction in [0, 1) of a label spread over all classes. Default by model: 0.1 "
        "(vit), 0.",
        at_least=0.0,
        at_most=0.99,
    )
    clip_norm: float | None = setting(
        None,
        "Largest norm of the whole gradient; 0 is no limit. Default 1: lets the first "
        "steps survive a high learning rate.",
        at_least=0.0,
    )
    ema: float = setting(
        0.0,
        "Momentum in [0, 1) of a moving average of the weights, which is then what is "
        "evaluated and saved. Default 0, none: short runs gain nothing.",
        at_least=0.0,
        at_most=0.999999,
    )
