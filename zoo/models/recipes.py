"""Settings that work for each model, where no flag says otherwise."""

# Usual values, not tuned; the epochs fit into a few minutes on two CPU cores.
RECIPES = {
    "vit": dict(
        optimizer="adamw",
        learning_rate=1e-3,
        weight_decay=0.05,
        label_smoothing=0.1,
        clip_norm=1.0,
        epochs=25,
        warmup_epochs=3.0,
        batch_size=64,
    ),
    "resnet_na": dict(
        optimizer="sgd",
        learning_rate=0.1,
        weight_decay=5e-3,
        label_smoothing=0.0,
        clip_norm=1.0,
        epochs=15,
        warmup_epochs=1.0,
        batch_size=64,
    ),
    "ln_net": dict(
        optimizer="sgd",
        learning_rate=0.05,
        weight_decay=0.0,
        label_smoothing=0.0,
        clip_norm=1.0,
        epochs=30,
        warmup_epochs=1.0,
        batch_size=64,
    ),
}


def recipe(model):
    """Returns the settings of a model of the zoo; those of a size are its family's.

    Args:
        model: a key of `zoo.MODELS`, such as "vit" or "vit_ti".
    """
    family = next(name for name in RECIPES if model.startswith(name))
    return dict(RECIPES[family])
