"""What a swap did, normalization by normalization."""

import dataclasses
import html
from collections.abc import Callable, Iterable
from typing import Any

import keras

from lng_keras._base.tables import aligned, as_html

REPLACED, KEPT, LEFT_OUT = "replaced", "kept", "left out"


@dataclasses.dataclass
class Row:
    """One normalization of the model.

    Attributes:
        path: str, where it is, such as "encoder/blocks[0].norm".
        status: "replaced", "kept" or "left out" (by `where`).
        before, after: str, the classes, with their groups where they have some.
        channels: int or None.
        follows: str, what its output meets next, such as "relu" or "addition, Conv2D";
            "" if that cannot be told.
        reason: str, why it was kept, or what was chosen for it.
        carried: list of str, the weights that were carried.
        lost: dict, name of a weight that was not carried -> why.
    """

    path: str
    status: str
    before: str
    after: str = ""
    channels: int | None = None
    follows: str = ""
    reason: str = ""
    carried: list[str] = dataclasses.field(default_factory=list)
    lost: dict[str, str] = dataclasses.field(default_factory=dict)


class SwapReport:
    """The rows of a swap, in the model's order.

    Prints as a table and shows as one in a notebook. `restore(model)` goes back.

    Args:
        rows: of `Row`.
        restore: function from a swapped model to `(model, report)`.
        problem: str, why it cannot be told what follows some of them, or "".
    """

    def __init__(
        self,
        rows: Iterable[Row],
        restore: Callable[[keras.Model], Any],
        problem: str = "",
    ):
        self.rows = list(rows)
        self._restore = restore
        self._problem = problem

    def _with(self, status):
        return [row for row in self.rows if row.status == status]

    @property
    def replaced(self) -> list[Row]:
        return self._with(REPLACED)

    @property
    def kept(self) -> list[Row]:
        return self._with(KEPT)

    @property
    def left_out(self) -> list[Row]:
        return self._with(LEFT_OUT)

    def summary(self) -> str:
        """One line: how many were replaced, kept and left out."""
        text = "" if self.replaced else "Nothing was replaced. "
        text += (
            f"{len(self.rows)} normalizations: {len(self.replaced)} replaced, "
            f"{len(self.kept)} kept, {len(self.left_out)} left out"
        )
        if lost := sorted({name for row in self.rows for name in row.lost}):
            text += f"; not carried: {', '.join(lost)}"
        untold = sum(not row.follows for row in self.rows)
        if untold and self._problem:
            text += f"; what follows {untold} of them is not known: {self._problem}"
        return text

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON."""
        rows = [dataclasses.asdict(row) for row in self.rows]
        return {"summary": self.summary(), "rows": rows}

    def restore(self, model: keras.Model) -> tuple[keras.Model, "SwapReport"]:
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
                row.follows,
                "; ".join(details),
            )

    _HEAD = ("path", "status", "before", "after", "channels", "followed by", "notes")

    def __str__(self):
        table = [self._HEAD, *self._cells()]
        lines = [*aligned(table), self.summary()]
        # What replaced nothing says so before the long table.
        return "\n".join(lines if self.replaced else [lines[-1], *lines[:-1]])

    def _repr_html_(self):
        table = as_html(self._HEAD, self._cells())
        return f"<p>{html.escape(self.summary())}</p>{table}"
