"""Table 7: a model trained with LN and swapped to LN-G, against training anew."""

from experiments.machinery import training_table
from experiments.machinery.declaration import Row, Schedule, Table
from experiments.tables import vit

_LNG = {"norm": "lng", "group_size": 8}
_CPU = vit.TABLE.schedules["cpu"]
_FULL = vit.TABLE.schedules["full"]


def _rows(fine_tuning):
    """The rows; `fine_tuning` are the flags of the short second training."""
    short = {**_LNG, **fine_tuning}
    return (
        Row("ln", "LN", {"norm": "ln"}),
        Row("swapped", "LN, swapped to LN-G, fine-tuned", short, "ln"),
        Row("lng", "LN-G from scratch", _LNG),
        Row("ln_longer", "LN, fine-tuned alike", {"norm": "ln", **fine_tuning}, "ln"),
        Row("lng_short", "LN-G from scratch, as short", short),
    )


def _table(fine_tuning, schedules):
    return Table(
        name="swap",
        title="Swapping LN for LN-G in a trained Vision Transformer, CIFAR-10",
        rows=_rows(fine_tuning),
        schedules=schedules,
        reference="lng",
        pairs=(("swapped", "ln_longer"), ("swapped", "lng_short")),
        notes=(
            "LN-G has groups of 8. `swapped` begins with the weights of the row LN of "
            "the same seed, its scales and offsets included, and is trained for "
            f"{fine_tuning['epochs']} epochs with a new optimizer.",
            "`LN, fine-tuned alike` tells how much of a gain is the longer training, "
            "`from scratch, as short` what the weights were worth.",
            "A swapped row's learning rate is tuned from a model that has not seen the "
            "images it is judged on.",
        ),
    )


# The length of the fine-tuning belongs to the rows, so each budget has its table.
TABLES = {
    "smoke": _table(dict(epochs=1), {"smoke": vit.TABLE.schedules["smoke"]}),
    "cpu": _table(
        dict(epochs=2, warmup_epochs=0.35),
        {
            "cpu": Schedule(
                flags=_CPU.flags,
                # The grid of the table vit, whose runs the first and third row are.
                learning_rates=_CPU.learning_rates,
                further_rates=_CPU.further_rates,
                tuning_flags=_CPU.tuning_flags,
                seeds=2,
                text=f"{_CPU.text} Fine-tuning: 2 epochs.",
            )
        },
    ),
    "full": _table(
        dict(epochs=20, warmup_epochs=2.0),
        {
            "full": Schedule(
                flags=_FULL.flags,
                learning_rates=(0.0001, 0.0003, 0.001, 0.003),
                tuning_flags=_FULL.tuning_flags,
                seeds=3,
                text=f"{_FULL.text} Fine-tuning: 20 epochs.",
                backend="jax",
            )
        },
    ),
}


def run(budget, seeds, only, output):
    """See experiments/catalog.py."""
    return training_table.run(TABLES[budget], budget, seeds, only, output)
