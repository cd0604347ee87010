"""What a table of trainings consists of: rows, schedules, and what is compared."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of a table: flags of train.py that make it differ from the others."""

    name: str  # a key, used for folders and --only
    label: str  # for people
    flags: dict
    init: str | None = None  # the row whose model of the same seed it begins with


@dataclasses.dataclass(frozen=True)
class Schedule:
    """How a budget trains: the same for every row of a table."""

    flags: dict  # of every run
    learning_rates: tuple  # the grid, the same for every row; one value: no tuning
    tuning_flags: dict  # what a tuning run does otherwise
    seeds: int  # runs a row, unless --seeds says otherwise
    text: str  # the schedule in a sentence, printed beside the table
    backend: str | None = None  # KERAS_BACKEND of the runs; None: as it is
    further_rates: tuple = ()  # tried only if the grid's best is its edge beside them

    @property
    def rates(self):
        """All learning rates that a row may be run with, the smallest first."""
        return tuple(sorted((*self.learning_rates, *self.further_rates)))


def lng_row(size):
    """LN-G with `size` channels a group."""
    return Row(f"lng_{size}", f"LN-G, {size}", {"norm": "lng", "group_size": size})


def smoke_schedule(flags, learning_rates, text):
    """Returns the schedule of the budget smoke: seconds a run, on the bundled sample.

    Args:
        flags: of every run, besides those of the sample.
        learning_rates: the grid.
        text: what is trained, such as "ResNet-8".
    """
    sample = dict(dataset="cifar10_sample", train_examples=640)
    return Schedule(
        flags={**flags, **sample, "epochs": 1, "batch_size": 64},
        learning_rates=learning_rates,
        tuning_flags=dict(train_examples=320, validation_examples=320),
        seeds=2,
        text=f"{text}, 640 images of the bundled sample, one epoch of batches of 64. "
        "It proves the machinery; its numbers mean nothing.",
    )


@dataclasses.dataclass(frozen=True)
class Table:
    """A table whose numbers come from trainings.

    Args:
        name, title: of the folder, and of the page.
        rows: of `Row`, in the order in which they are printed, and run unless
            `--only` names another.
        schedules: budget -> `Schedule`.
        reference: name of the row that the others are compared with.
        measure: the quantity of result.json that is compared.
        tuned_on: the quantity of a tuning run that chooses the learning rate.
            "validation_accuracy" is that of the last epoch.
        pairs: of two row names each, the first compared with the second in a table of
            its own: the steps of a claim that the reference alone does not tell.
        notes: sentences printed below the table.
        pictures: file name -> function (table, rows, records) -> matplotlib figure,
            drawn besides those that every table has; see machinery/plots.py.
    """

    name: str
    title: str
    rows: tuple
    schedules: dict
    reference: str
    measure: str = "test_accuracy"
    tuned_on: str = "validation_accuracy"
    pairs: tuple = ()
    notes: tuple = ()
    pictures: dict = dataclasses.field(default_factory=dict)

    def row(self, name):
        """Returns the row of a name."""
        return next(row for row in self.rows if row.name == name)

    def selected(self, only):
        """Returns the rows named in `only`, in its order, or all.

        Raises:
            ValueError: for a name that is no row.
        """
        known = [row.name for row in self.rows]
        unknown = [name for name in only if name not in known]
        if unknown:
            raise ValueError(
                f"Table {self.name} has no row {unknown[0]!r}. "
                f"Its rows: {', '.join(known)}."
            )
        return [self.row(name) for name in only or known]
