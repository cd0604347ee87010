"""Settings of the model: its shape, where it begins, what is made of it."""

import dataclasses

from zoo.training.settings.field import setting


@dataclasses.dataclass(frozen=True)
class Model:
    """The model, its normalization, its first weights and what is made of it."""

    model: str = setting(
        "vit",
        "vit, vit_ti, vit_s, vit_b, resnet_na or ln_net. Default vit: a small one "
        "(depth 6, width 64) that learns within minutes on two cores.",
        choices=("vit", "vit_ti", "vit_s", "vit_b", "resnet_na", "ln_net"),
    )
    norm: str = setting(
        "lng",
        "bn, ln, ln_position, gn, in, rms, lng, lng_position or none. Default lng, "
        "what this project is about.",
        choices=(
            *("bn", "ln", "ln_position", "gn", "in", "rms", "lng", "lng_position"),
            "none",
        ),
    )
    groups: int | None = setting(
        None,
        "Groups of each normalization. Default: from --group_size (gn: 4 groups).",
        at_least=1,
    )
    group_size: int | None = setting(
        None,
        "Channels of a group. Default 8, the follow-up paper's advice; theory says "
        "that 4 amplifies the nonlinearity most.",
        at_least=1,
    )
    depth: int | None = setting(
        None,
        "Blocks (vit), layers (resnet_na: 6n + 2, or 18, 34, 50) or hidden layers "
        "(ln_net). Default by model: 6, 20, 4.",
        at_least=1,
    )
    width: int | None = setting(
        None,
        "Channels of a token (vit), of the first stage (resnet_na) or neurons of a "
        "layer (ln_net). Default by model: 64, 16 (64 for depths 18, 34, 50), 100.",
        at_least=1,
    )
    heads: int | None = setting(
        None,
        "Attention heads of vit. Default 4.",
        at_least=1,
    )
    patch_size: int | None = setting(
        None,
        "Side of vit's patches in pixels. Default 4 up to 64 x 64 images, 16 above, "
        "as the ViT paper.",
        at_least=1,
    )
    pool: str | None = setting(
        None,
        "What vit classifies from: the mean of its tokens or a class token. Default "
        "mean.",
        choices=("mean", "token"),
    )
    activation: str | None = setting(
        None,
        "Activation of resnet_na, such as relu. Default none: nothing but the "
        "normalization is nonlinear, the paper's ResNet-NA.",
    )
    dropout: float | None = setting(
        None,
        "Fraction in [0, 1) of vit's activations dropped in training. Default 0.",
        at_least=0.0,
        at_most=0.99,
    )
    stochastic_depth: float | None = setting(
        None,
        "Fraction in [0, 1) of examples that skip vit's last block in training, "
        "growing from 0 at the first. Default 0.",
        at_least=0.0,
        at_most=0.99,
    )
    init: str | None = setting(
        None,
        "A model.keras, or the name of a preset, whose weights to start from where "
        "layer, name and shape agree. Default none: from random weights.",
    )
    teacher: str | None = setting(
        None,
        "A model.keras, or the name of a preset, from whose outputs the model learns "
        "as well as from the labels (distillation). Default none.",
    )
    teacher_weight: float = setting(
        0.5,
        "Fraction in [0, 1] of the loss that is the distance to --teacher. Default "
        "0.5: as much as the labels.",
        at_least=0.0,
        at_most=1.0,
    )
    temperature: float = setting(
        3.0,
        "Softens the outputs that are compared with --teacher's; no unit. Default 3: "
        "shows the teacher's second choices.",
        at_least=0.01,
    )
    export: tuple[str, ...] = setting(
        (),
        "Formats to write beside model.keras, comma separated: onnx, litert, "
        "saved_model, openvino. Default none: each needs a package of its own.",
        choices=("onnx", "litert", "saved_model", "openvino"),
        result=False,
    )
    search_group_size: tuple[str, ...] = setting(
        (),
        "Instead of training, compare these group sizes, such as 4,8,16, with "
        "KerasTuner, on --validation_examples or a tenth of the training images, "
        "never on the test images; the same command with the same --run_dir "
        "continues. Default none.",
        kept=False,
    )
