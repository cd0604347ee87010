"""The cost of some models side by side: as text, CSV, JSON, HTML and a picture."""

import csv
import html
import io
import json
from collections.abc import Iterator
from typing import Any

from lng_keras._base.tables import aligned, as_html
from lng_keras.adopt.cost import picture


class CostTable:
    """What `lng_keras.cost.compare` measured.

    Attributes:
        rows: list of dicts, one a model: `name`, `parameters`, `weight_bytes`,
            `flops` and `activation_bytes` at batch 1, `latency` (list of dicts with
            `batch`, `mode`, `median_ms`, `q25_ms`, `q75_ms`, `repeats`), `layers`,
            and `accuracy` where it was asked for. The first is what the others are
            compared with.
        environment: dict, backend, device, threads and versions.
        sources: dict, where FLOPs, memory and accuracy come from.
    """

    def __init__(
        self,
        rows: list[dict[str, Any]],
        environment: dict[str, Any],
        sources: dict[str, str],
    ):
        self.rows = rows
        self.environment = environment
        self.sources = sources

    def columns(self) -> list[str]:
        """Names of the compared columns, in order."""
        names = ["accuracy, %"] if self.has_accuracy else []
        names += ["parameters", "weight MB", "MFLOPs", "activation MB"]
        return names + [
            f"ms, batch {entry['batch']}, {entry['mode']}"
            for entry in self.rows[0]["latency"]
        ]

    @property
    def has_accuracy(self) -> bool:
        return any(row.get("accuracy") is not None for row in self.rows)

    def values(self, row: dict[str, Any]) -> list[float | None]:
        """The numbers of a row in the order of `columns`; None where unknown."""
        values = [_scaled(row.get("accuracy"), 0.01)] if self.has_accuracy else []
        values += [
            row["parameters"],
            _scaled(row["weight_bytes"], 1e6),
            _scaled(row["flops"], 1e6),
            _scaled(row["activation_bytes"], 1e6),
        ]
        return values + [entry["median_ms"] for entry in row["latency"]]

    def cells(self) -> Iterator[list[str]]:
        """Text of each row: the value, its spread and how it compares to the first."""
        base = self.values(self.rows[0])
        for row in self.rows:
            # The first row is compared with nothing.
            compared = [None] * len(base) if row is self.rows[0] else base
            values = self.values(row)
            cells = [row["name"]]
            if self.has_accuracy:
                cells.append(_points(values.pop(0), compared[0]))
                compared = compared[1:]
            spreads = [None] * 4 + row["latency"]
            columns = zip(values, compared, spreads, strict=True)
            yield cells + [
                _number(v) + _spread(s) + _ratio(v, r) for v, r, s in columns
            ]

    def footer(self) -> str:
        """What the numbers mean, in one paragraph."""
        e = self.environment
        text = (
            f"{e['backend']} {e['backend_version']}, Keras {e['keras']}, "
            f"{e['device']}, {e['threads']} threads."
        )
        if self.rows[0]["latency"]:
            least = min(x["repeats"] for row in self.rows for x in row["latency"])
            text += (
                " Latency: median (quartiles) of warm calls, models in turns, "
                f"n >= {least}."
            )
        if self.busy():
            text += (
                f" The machine was busy (other programs used {e['other_cpus']:.1f} of "
                f"{e['threads']} CPUs): do not trust these times."
            )
        text += (
            f" FLOPs (batch 1): {self.sources['flops']}. Activation memory "
            f"(batch 1): {self.sources['activation_bytes']}."
        )
        if "accuracy" in self.sources:
            text += f" Accuracy: {self.sources['accuracy']}."
        return f"{text} xN: relative to the first row."

    def busy(self) -> bool:
        """Whether other programs took more than a tenth of the CPUs meanwhile."""
        e = self.environment
        return (e.get("other_cpus") or 0) > 0.1 * e["threads"]

    def layer_rows(self) -> list[dict[str, Any]]:
        """One dict a measured layer: of which model, `path`, `class`, costs."""
        return [
            {"model": row["name"], **layer}
            for row in self.rows
            for layer in row["layers"]
        ]

    def layer_columns(self) -> list[str]:
        """Names of the columns of `layer_cells`."""
        names = ["path", "model", "class", "parameters", "kFLOPs", "activation KB"]
        return names + [
            f"ms, batch {entry['batch']}, {entry['mode']}"
            for entry in self.rows[0]["latency"]
        ]

    def layer_cells(self) -> Iterator[list[str]]:
        """Text of each measured layer, those of one path together."""
        unknown = [{"median_ms": None}] * len(self.rows[0]["latency"])
        # Sorting is stable: of one path, the models are in their order.
        for layer in sorted(self.layer_rows(), key=lambda row: row["path"]):
            numbers = [
                layer["parameters"],
                _scaled(layer["flops"], 1e3),
                _scaled(layer["activation_bytes"], 1e3),
                *(entry["median_ms"] for entry in layer["latency"] or unknown),
            ]
            names = [layer["path"], layer["model"], layer["class"]]
            yield names + [_number(number) for number in numbers]

    def layer_text(self) -> str:
        """The measured layers as an aligned table, or "" if there are none."""
        rows = list(self.layer_cells())
        return "\n".join(aligned([self.layer_columns(), *rows])) if rows else ""

    def __str__(self):
        table = [["model", *self.columns()], *self.cells()]
        return "\n".join([*aligned(table), self.footer()])

    def _repr_html_(self):
        table = as_html(["model", *self.columns()], self.cells())
        return f"{table}<p>{html.escape(self.footer())}</p>"

    def to_dict(self) -> dict[str, Any]:
        """Plain data, for JSON; `from_dict` reads it."""
        return {
            "rows": self.rows,
            "environment": self.environment,
            "sources": self.sources,
        }

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> "CostTable":
        return cls(data["rows"], data["environment"], data["sources"])

    def to_json(self) -> str:
        return json.dumps(self.to_dict(), indent=1)

    def to_csv(self) -> str:
        """One line a model, and one a measured layer of it."""
        out = io.StringIO()
        writer = csv.writer(out)
        writer.writerow(["model", "layer", *self.columns()])
        for row in self.rows:
            writer.writerow([row["name"], "", *self.values(row)])
            for layer in row["layers"]:
                accuracy = [""] if self.has_accuracy else []
                latency = [""] * len(row["latency"])
                if layer["latency"]:
                    latency = [entry["median_ms"] for entry in layer["latency"]]
                writer.writerow(
                    [
                        row["name"],
                        layer["path"],
                        *accuracy,
                        layer["parameters"],
                        _scaled(layer["weight_bytes"], 1e6),
                        _scaled(layer["flops"], 1e6),
                        _scaled(layer["activation_bytes"], 1e6),
                        *latency,
                    ]
                )
        return out.getvalue()

    def picture(self) -> Any:
        """A matplotlib figure: latency by model, and memory beside it."""
        return picture.draw(self.rows)


def _scaled(value, unit):
    return None if value is None else value / unit


def _number(value):
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"


def _spread(entry):
    if entry is None:
        return ""
    return f" ({_number(entry['q25_ms'])}-{_number(entry['q75_ms'])})"


def _ratio(value, reference):
    return f" x{value / reference:.2f}" if value is not None and reference else ""


def _points(value, reference):
    """An accuracy in percent, and its distance from another in points."""
    if value is None:
        return "-"
    # Rounded before: 28.75 - 26 is +2.8, and not what 0.2875 * 100 makes of it.
    change = "" if reference is None else f" {round(value - reference, 6):+.1f}"
    return f"{value:.1f}{change}"
