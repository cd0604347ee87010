"""Table 4: how many random labels an LN-Net memorizes, by its normalization.

CIFAR-10 in grey: 1,024 inputs.
"""

from experiments.machinery import random_labels, training_table
from experiments.machinery.declaration import Row, Schedule, Table, lng_row

_SETTINGS = dict(**random_labels.SETTINGS, depth=4, width=100, label_smoothing=0.0)
_SMOKE = Schedule(
    flags={
        **_SETTINGS,
        "dataset": "cifar10_sample",
        "train_examples": 640,
        "epochs": 2,
        "batch_size": 64,
    },
    learning_rates=(0.001, 0.003),
    tuning_flags=dict(epochs=1, warmup_epochs=0.25),
    seeds=2,
    text="640 images of the bundled sample, two epochs of batches of 64. It proves the "
    "machinery; its numbers mean nothing.",
)
_CPU = Schedule(
    flags=dict(**_SETTINGS, dataset="cifar10", epochs=40),
    learning_rates=(0.0003, 0.001, 0.003),
    further_rates=(0.0001, 0.01),
    tuning_flags=dict(epochs=10, warmup_epochs=0.25),
    seeds=2,
    text="4 hidden layers of width 100, 50,000 images, 40 epochs of batches of 256, "
    "Adam without weight decay, one epoch of warm-up, cosine to 0, gradients clipped "
    "at norm 1. Learning rates tuned for 10 epochs.",
)
_FULL = Schedule(
    flags=dict(**_SETTINGS, dataset="cifar10", epochs=150),
    learning_rates=(0.0001, 0.0003, 0.001, 0.003),
    tuning_flags=dict(epochs=40),
    seeds=3,
    text="4 hidden layers of width 100, 50,000 images, 150 epochs of batches of 256, "
    "otherwise as the budget cpu. Learning rates tuned for 40 epochs.",
    backend="jax",
)


TABLE = Table(
    name="random_labels",
    title="Random labels learned by networks without activations, grey CIFAR-10",
    rows=(
        Row("none", "none (linear)", {"norm": "none"}),
        Row("bn", "BN", {"norm": "bn"}),
        Row("ln", "LN (one group of 100)", {"norm": "ln"}),
        Row("rms", "RMSNorm", {"norm": "rms"}),
        *(lng_row(size) for size in (2, 4, 5, 10, 20, 50)),
    ),
    schedules={"smoke": _SMOKE, "cpu": _CPU, "full": _FULL},
    reference="ln",
    measure="train_accuracy",
    tuned_on="train_accuracy",
    notes=(
        "The labels are random: test accuracy is chance, and training accuracy is what "
        "the model can memorize in this schedule.",
        "The best linear least-squares classifier reaches 18.7 to 18.8 % here (50,000 "
        "Gaussian inputs of 1,024 numbers, 10 classes); what is clearly above is "
        "nonlinear.",
        "Groups of 2 are a sign function: their output is (sign, -sign).",
    ),
)


def run(budget, seeds, only, output):
    """See experiments/catalog.py."""
    return training_table.run(TABLE, budget, seeds, only, output)
