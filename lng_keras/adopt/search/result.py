"""What a search found: a table with its Pareto front marked."""

from collections.abc import Iterator, Sequence
from typing import Any

from lng_keras._base.tables import aligned
from lng_keras.adopt.cost import CostTable


class SearchResult:
    """What a search found; prints as a table.

    Attributes:
        rows: list of dicts: `name`, `group_sizes` or `swap` (which candidate it is),
            `accuracy` (mean over seeds), `spread` (std), `seeds`, costs, and `pareto`:
            whether no other row is better in accuracy and latency at once. The first
            is the model as it is, listed whether it is on the front or not.
        trials: list of dicts, Hyperband's: the candidate, `epochs`, `score`.
        settings: dict, the budget, the same for every row.
    """

    def __init__(
        self,
        rows: list[dict[str, Any]],
        trials: list[dict[str, Any]],
        settings: dict[str, Any],
        table: CostTable,
    ):
        self.rows, self.trials, self.settings = rows, trials, settings
        self.environment = table.environment
        for row, best in zip(
            rows, pareto_front([_point(r) for r in rows]), strict=True
        ):
            row["pareto"] = best

    @property
    def best(self) -> dict[str, Any]:
        """The row of the highest mean accuracy."""
        return max(self.rows, key=lambda row: row["accuracy"])

    def to_dict(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "trials": self.trials,
            "settings": self.settings,
            "environment": self.environment,
        }

    def _cells(self) -> Iterator[list[str]]:
        last = self.rows[0]["latency"][-1]
        first = "group size" if "group_sizes" in self.rows[0] else "candidate"
        head = ["", first, "accuracy, %", "std", "seeds", "parameters", "MFLOPs"]
        yield [*head, f"ms, batch {last['batch']}, {last['mode']} (quartiles)"]
        for row in self.rows:
            entry = row["latency"][-1]
            quartiles = f"{entry['q25_ms']:.3g}-{entry['q75_ms']:.3g}"
            flops = row["flops"]
            yield [
                "*" if row["pareto"] else "",
                row["name"],
                f"{100 * row['accuracy']:.2f}",
                "-" if row["spread"] is None else f"{100 * row['spread']:.2f}",
                str(row["seeds"]),
                f"{row['parameters']:,}",
                "-" if flops is None else f"{flops / 1e6:.3g}",
                f"{entry['median_ms']:.3g} ({quartiles})",
            ]

    def __str__(self):
        lines = list(aligned(self._cells()))
        s, e = self.settings, self.environment
        lines.append(
            f"* on the Pareto front of accuracy and latency. Each row: "
            f"{s['max_epochs']} epochs, seeds 0 to {s['seeds'] - 1}. {e['backend']} "
            f"{e['backend_version']}, {e['device']}, {e['threads']} threads."
        )
        return "\n".join(lines)


def pareto_front(points: Sequence[tuple[float, float]]) -> list[bool]:
    """For each `(benefit, cost)`, whether no other has more benefit at no more cost.

    Equal points are all on the front.
    """
    return [
        not any(
            (b >= benefit and c <= price) and (b > benefit or c < price)
            for b, c in points
        )
        for benefit, price in points
    ]


def _point(row):
    return row["accuracy"], row["latency"][-1]["median_ms"]
