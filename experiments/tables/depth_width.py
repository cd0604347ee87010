"""Table 3: how small can the network be: accuracy against width and depth."""

import numpy as np

from experiments.machinery import plots, statistics, training_table
from experiments.machinery.declaration import Row, Schedule, Table, smoke_schedule
from experiments.tables import resnet_na

NORMS = {
    "relu_bn": ("BN, ReLU", {"norm": "bn", "activation": "relu"}),
    "ln": ("LN (space and channels)", {"norm": "ln"}),
    "lng_position": ("LN-G-Position, 8", {"norm": "lng_position", "group_size": 8}),
}
WIDTHS, DEPTHS = (8, 16), (8, 14, 20)

_SMOKE = smoke_schedule(
    resnet_na.SETTINGS, (0.1, 0.03), "ResNets without activations and with"
)
_CPU = Schedule(
    flags=dict(
        **resnet_na.SETTINGS,
        dataset="cifar10",
        train_examples=12_500,
        epochs=8,
        batch_size=128,
    ),
    learning_rates=(0.03, 0.1, 0.3),
    further_rates=(0.01, 1.0),
    tuning_flags=dict(epochs=2, warmup_epochs=0.25, validation_examples=5000),
    seeds=2,
    text="12,500 class-balanced training images (a quarter), all 10,000 test images, "
    "otherwise as the table resnet_na. Learning rates tuned for 2 epochs.",
)
_FULL = Schedule(
    flags=dict(**resnet_na.SETTINGS, dataset="cifar10", epochs=200, batch_size=128),
    learning_rates=(0.03, 0.1, 0.3),
    tuning_flags=dict(epochs=30, validation_examples=5000),
    seeds=3,
    text="all 50,000 training and 10,000 test images, 200 epochs of batches of 128, "
    "otherwise as the table resnet_na. Learning rates tuned for 30 epochs.",
    backend="jax",
)


def picture(table, rows, records):
    """Accuracy against parameters: a line for each norm and depth, a dot a width."""
    from matplotlib import ticker

    figure = plots.figure(7.5, 4.6)
    axes = figure.subplots()
    for color, (norm, (label, _)) in enumerate(NORMS.items()):
        for depth, style in zip(DEPTHS, ("-o", "--s", ":^"), strict=True):
            names = [f"{norm}_depth{depth}_width{width}" for width in WIDTHS]
            names = [name for name in names if name in rows]
            if not names:
                continue
            parameters = [
                next(iter(records[name].values()))["result"]["parameters"]
                for name in names
            ]
            found = [statistics.summarize(list(rows[name].values())) for name in names]
            axes.errorbar(
                parameters,
                [100 * summary.mean for summary in found],
                [100 * np.nan_to_num(summary.std) for summary in found],
                fmt=style,
                color=f"C{color}",
                capsize=3,
                label=f"{label}, depth {depth}",
            )
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    widths = " and ".join(map(str, WIDTHS))
    axes.set(
        xlabel=f"parameters; the dots of a line are widths {widths}",
        ylabel="test accuracy, last epoch, percent",
    )
    axes.grid(alpha=0.3)
    figure.legend(loc="outside right", fontsize=7)
    return figure


TABLE = Table(
    name="depth_width",
    title="Width and depth against accuracy, CIFAR-10",
    rows=tuple(
        Row(
            f"{norm}_depth{depth}_width{width}",
            f"{label}, depth {depth}, width {width}",
            {**flags, "depth": depth, "width": width},
        )
        for depth in DEPTHS
        for width in WIDTHS
        for norm, (label, flags) in NORMS.items()
    ),
    schedules={"smoke": _SMOKE, "cpu": _CPU, "full": _FULL},
    reference="relu_bn_depth8_width16",
    pairs=(
        ("lng_position_depth8_width8", "ln_depth8_width8"),
        ("lng_position_depth8_width16", "ln_depth8_width16"),
        ("lng_position_depth20_width16", "ln_depth20_width16"),
        # The smallest network of one against the largest of the other.
        ("lng_position_depth8_width8", "ln_depth20_width16"),
        ("relu_bn_depth8_width8", "lng_position_depth20_width16"),
        # What depth alone adds.
        ("ln_depth20_width8", "ln_depth8_width8"),
        ("lng_position_depth20_width8", "lng_position_depth8_width8"),
    ),
    pictures={"parameters.png": picture},
    notes=(
        "Width is that of the first stage; the second and third have twice and four "
        "times as many channels. LN and LN-G-Position are without activations.",
    ),
)


def run(budget, seeds, only, output):
    """See experiments/catalog.py."""
    return training_table.run(TABLE, budget, seeds, only, output)
