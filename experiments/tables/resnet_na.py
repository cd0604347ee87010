"""Table 1: normalizations in a ResNet without activations, and with ReLU, CIFAR-10.

Declared before the runs of seeds 3 to 9, at the budget cpu:

    The runs of seeds 0 to 2 were paired by seed, which three runs do not bear: the same
    seed in two networks shares nothing that would make their results move together.
    The new seeds, and they alone, judge these differences of test accuracy in the last
    epoch: ln - bn, lng_8 - ln, lng_8 - gn, ln_position - ln, lng_position_8 - lng_8,
    lng_position_8 - ln_position. Each by Welch's two-sided test of seven runs against
    seven; all six together by Holm's procedure at 5 %. Learning rates stay those chosen
    before, flags those of the records. Old and new runs are both shown. Until all are
    there, the new records stand in results/resnet_na/cpu/declared.
"""

from experiments.machinery import training_table
from experiments.machinery.declaration import Row, Schedule, Table, smoke_schedule


def _row(norm, label, activation=None, **flags):
    name = "_".join([norm, *map(str, flags.values())])
    flags = {"norm": norm, **flags}
    if activation is None:
        return Row(name, label, flags)
    flags["activation"] = activation
    return Row(f"{activation}_{name}", f"{label}, ReLU", flags)


# Every setting is named: a changed default of train.py must not change a table.
SETTINGS = dict(
    model="resnet_na",
    augment="crop_flip",
    optimizer="sgd",
    weight_decay=0.005,
    warmup_epochs=1.0,
    label_smoothing=0.0,
    clip_norm=1.0,
)
_SMOKE = smoke_schedule({**SETTINGS, "depth": 8}, (0.1, 0.03), "ResNet-8")
_CPU = Schedule(
    flags=dict(**SETTINGS, depth=8, dataset="cifar10", epochs=8, batch_size=128),
    learning_rates=(0.03, 0.1, 0.3),
    further_rates=(0.01, 1.0),
    tuning_flags=dict(epochs=2, warmup_epochs=0.25, validation_examples=5000),
    seeds=3,
    text="ResNet-8 (the 6n + 2 network with n = 1, widths 16, 32, 64), all 50,000 "
    "training and 10,000 test images, 8 epochs of batches of 128, crop and flip, SGD "
    "with Nesterov momentum 0.9, one epoch of warm-up, cosine to 0, decoupled weight "
    "decay 0.005, gradients clipped at norm 1. Learning rates tuned for 2 epochs.",
)
_FULL = Schedule(
    flags=dict(**SETTINGS, depth=20, dataset="cifar10", epochs=200, batch_size=128),
    learning_rates=(0.01, 0.03, 0.1, 0.3),
    tuning_flags=dict(epochs=30, validation_examples=5000),
    seeds=3,
    text="ResNet-20, all 50,000 training and 10,000 test images, 200 epochs of batches "
    "of 128, otherwise as the budget cpu. Learning rates tuned for 30 epochs.",
    backend="jax",
)

TABLE = Table(
    name="resnet_na",
    title="Normalizations in a ResNet without activations, CIFAR-10",
    rows=(
        _row("none", "none"),
        _row("bn", "BN"),
        _row("ln", "LN (space and channels)"),
        _row("ln_position", "LN at each position"),
        _row("in", "IN"),
        _row("gn", "GN, 4 groups"),
        *(_row("lng", f"LN-G, {size}", group_size=size) for size in (4, 8, 16)),
        *(
            _row("lng_position", f"LN-G-Position, {size}", group_size=size)
            for size in (4, 8, 16)
        ),
        _row("bn", "BN", activation="relu"),
        _row("ln", "LN (space and channels)", activation="relu"),
        _row("lng", "LN-G, 8", activation="relu", group_size=8),
        _row("lng_position", "LN-G-Position, 8", activation="relu", group_size=8),
    ),
    schedules={"smoke": _SMOKE, "cpu": _CPU, "full": _FULL},
    reference="bn",
    pairs=(
        ("ln", "bn"),
        ("lng_8", "ln"),
        ("lng_8", "gn"),
        ("ln_position", "ln"),
        ("lng_position_8", "ln_position"),
        ("lng_position_8", "lng_8"),
        ("lng_position_8", "lng_position_4"),
        ("lng_position_8", "lng_position_16"),
        ("lng_position_8", "relu_bn"),
        ("relu_lng_8", "relu_bn"),
        ("relu_lng_position_8", "relu_bn"),
    ),
    notes=(
        "The number after LN-G is the channels a group. On maps GN and LN-G are one "
        "function: GN has the same number of groups in every stage (here 4), LN-G the "
        "same number of channels a group.",
        "none without activations is a linear classifier: its accuracy is what a "
        "linear model of this shape learns.",
        "IN without activations ends in chance level by construction: the mean over "
        "space of an instance-normalized map is its offset, whatever the image, and "
        "nothing between the last normalizations and the pooling changes that.",
    ),
)


def run(budget, seeds, only, output):
    """See experiments/catalog.py."""
    return training_table.run(TABLE, budget, seeds, only, output)
