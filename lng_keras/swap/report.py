"""What a swap did, normalization by normalization."""

import dataclasses
import html

REPLACED, KEPT, LEFT_OUT = "replaced", "kept", "left out"


@dataclasses.dataclass
class Row:
    """One normalization of the model.

    Attributes:
        path: str, where it is, such as "encoder/blocks[0].norm".
        status: "replaced", "kept" or "left out" (by `where`).
        before, after: str, the classes, with their groups where they have some.
        channels: int or None.
        reason: str, why it was kept, or what was chosen for it.
        carried: list of str, the weights that were carried.
        lost: dict, name of a weight that was not carried -> why.
    """

    path: str
    status: str
    before: str
    after: str = ""
    channels: int | None = None
    reason: str = ""
    carried: list = dataclasses.field(default_factory=list)
    lost: dict = dataclasses.field(default_factory=dict)


class SwapReport:
    """The rows of a swap, in the model's order.

    Prints as a table and shows as one in a notebook. `restore(model)` goes back.
    """

    def __init__(self, rows, restore=None):
        self.rows = list(rows)
        self._restore = restore

    def _with(self, status):
        return [row for row in self.rows if row.status == status]

    @property
    def replaced(self):
        return self._with(REPLACED)

    @property
    def kept(self):
        return self._with(KEPT)

    @property
    def left_out(self):
        return self._with(LEFT_OUT)

    def summary(self):
        """One line: how many were replaced, kept and left out."""
        text = (
            f"{len(self.rows)} normalizations: {len(self.replaced)} replaced, "
            f"{len(self.kept)} kept, {len(self.left_out)} left out"
        )
        lost = sorted({name for row in self.rows for name in row.lost})
        return text + (f"; not carried: {', '.join(lost)}" if lost else "")

    def to_dict(self):
        """Plain data, for JSON."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        return {"summary": self.summary(), "rows": rows}

    def restore(self, model):
        """Puts the original normalizations back into a model that this swap made.

        What the swapped layers learned since is carried as in any swap; running
        statistics of BatchNormalization, which the swap had to drop, come back.

        Returns:
            `(model, report)`, as `swap_normalization` does.
        """
        return self._restore(model)

    def _cells(self):
        for row in self.rows:
            details = [row.reason] if row.reason else []
            if row.lost:
                lost = (f"{name} ({why})" for name, why in row.lost.items())
                details.append("not carried: " + ", ".join(lost))
            yield (
                row.path,
                row.status,
                row.before,
                row.after,
                "" if row.channels is None else str(row.channels),
                "; ".join(details),
            )

    _HEAD = ("path", "status", "before", "after", "channels", "notes")

    def __str__(self):
        table = [self._HEAD, *self._cells()]
        widths = [max(len(row[i]) for row in table) for i in range(5)]
        lines = [
            "  ".join(
                [*(c.ljust(w) for c, w in zip(row, widths, strict=False)), row[5]]
            )
            for row in table
        ]
        return "\n".join([*(line.rstrip() for line in lines), self.summary()])

    def _repr_html_(self):
        def tr(cells, tag):
            inside = "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells)
            return f"<tr>{inside}</tr>"

        body = "".join(tr(cells, "td") for cells in self._cells())
        return (
            f"<p>{html.escape(self.summary())}</p>"
            f"<table>{tr(self._HEAD, 'th')}{body}</table>"
        )
