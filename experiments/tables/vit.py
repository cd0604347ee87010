"""Table 2: the group size of LN in a Vision Transformer, CIFAR-10."""

from experiments.machinery import training_table
from experiments.machinery.declaration import (
    Row,
    Schedule,
    Table,
    lng_row,
    smoke_schedule,
)

# Every setting is named: a changed default of train.py must not change a table.
SETTINGS = dict(
    augment="crop_flip",
    optimizer="adamw",
    weight_decay=0.05,
    warmup_epochs=1.0,
    label_smoothing=0.1,
    clip_norm=1.0,
)
_SMALL = dict(model="vit", depth=6, width=64, heads=4, patch_size=4, pool="mean")
_SMOKE = smoke_schedule({**SETTINGS, **_SMALL}, (0.001, 0.003), "the default vit")
_CPU = Schedule(
    flags=dict(**SETTINGS, **_SMALL, dataset="cifar10", epochs=6, batch_size=128),
    learning_rates=(0.0003, 0.001, 0.003),
    further_rates=(0.0001, 0.01),
    tuning_flags=dict(epochs=2, warmup_epochs=0.35, validation_examples=5000),
    seeds=3,
    text="the default vit (6 blocks, width 64, 4 heads, patches of 4, mean pooling), "
    "all 50,000 training and 10,000 test images, 6 epochs of batches of 128, crop and "
    "flip, AdamW, weight decay 0.05, one epoch of warm-up, cosine to 0, label "
    "smoothing 0.1, gradients clipped at norm 1. Learning rates tuned for 2 epochs.",
)
_FULL = Schedule(
    flags={
        **SETTINGS,
        **dict(model="vit_ti", patch_size=4, warmup_epochs=10.0, dataset="cifar10"),
        **dict(epochs=200, batch_size=256),
    },
    learning_rates=(0.0003, 0.001, 0.003),
    tuning_flags=dict(epochs=30, warmup_epochs=2.0, validation_examples=5000),
    seeds=3,
    text="ViT-Ti (12 blocks, width 192, 3 heads, class token) with patches of 4, all "
    "50,000 training and 10,000 test images, 200 epochs of batches of 256, 10 of them "
    "warm-up, otherwise as the budget cpu. Learning rates tuned for 30 epochs.",
    backend="jax",
)


TABLE = Table(
    name="vit",
    title="The group size of LN in a Vision Transformer, CIFAR-10",
    rows=(
        Row("ln", "LN (one group)", {"norm": "ln"}),
        Row("rms", "RMSNorm", {"norm": "rms"}),
        *(lng_row(size) for size in (4, 8, 16, 32)),
    ),
    schedules={"smoke": _SMOKE, "cpu": _CPU, "full": _FULL},
    reference="ln",
    pairs=(
        ("lng_8", "lng_4"),
        ("lng_8", "lng_16"),
        ("lng_8", "lng_32"),
        ("lng_8", "rms"),
    ),
    notes=(
        "The number after LN-G is the channels a group; LN is the one group of the "
        "whole width (64; ViT-Ti 192).",
    ),
)


def run(budget, seeds, only, output):
    """See experiments/catalog.py."""
    return training_table.run(TABLE, budget, seeds, only, output)
