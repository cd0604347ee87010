"""The cost of some models side by side: as text, CSV, JSON, HTML and a picture."""

import csv
import html
import io
import json


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

    def __init__(self, rows, environment, sources):
        self.rows = rows
        self.environment = environment
        self.sources = sources

    def columns(self):
        """Names of the compared columns, in order."""
        names = ["accuracy, %"] if self.has_accuracy else []
        names += ["parameters", "weight MB", "MFLOPs", "activation MB"]
        return names + [
            f"ms, batch {entry['batch']}, {entry['mode']}"
            for entry in self.rows[0]["latency"]
        ]

    @property
    def has_accuracy(self):
        return any(row.get("accuracy") is not None for row in self.rows)

    def values(self, row):
        """The numbers of a row in the order of `columns`; None where unknown."""
        values = [_scaled(row.get("accuracy"), 0.01)] if self.has_accuracy else []
        values += [
            row["parameters"],
            _scaled(row["weight_bytes"], 1e6),
            _scaled(row["flops"], 1e6),
            _scaled(row["activation_bytes"], 1e6),
        ]
        return values + [entry["median_ms"] for entry in row["latency"]]

    def cells(self):
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

    def footer(self):
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

    def busy(self):
        """Whether other programs took more than a tenth of the CPUs meanwhile."""
        e = self.environment
        return (e.get("other_cpus") or 0) > 0.1 * e["threads"]

    def layer_rows(self):
        """One dict a measured layer: of which model, `path`, `class`, costs."""
        return [
            {"model": row["name"], **layer}
            for row in self.rows
            for layer in row["layers"]
        ]

    def layer_columns(self):
        """Names of the columns of `layer_cells`."""
        names = ["path", "model", "class", "parameters", "kFLOPs", "activation KB"]
        return names + [
            f"ms, batch {entry['batch']}, {entry['mode']}"
            for entry in self.rows[0]["latency"]
        ]

    def layer_cells(self):
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

    def layer_text(self):
        """The measured layers as an aligned table, or "" if there are none."""
        rows = list(self.layer_cells())
        return "\n".join(_aligned([self.layer_columns(), *rows])) if rows else ""

    def __str__(self):
        table = [["model", *self.columns()], *self.cells()]
        return "\n".join([*_aligned(table), self.footer()])

    def _repr_html_(self):
        def tr(cells, tag):
            inside = "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in cells)
            return f"<tr>{inside}</tr>"

        body = "".join(tr(cells, "td") for cells in self.cells())
        head = tr(["model", *self.columns()], "th")
        return f"<table>{head}{body}</table><p>{html.escape(self.footer())}</p>"

    def to_dict(self):
        """Plain data, for JSON; `from_dict` reads it."""
        return {
            "rows": self.rows,
            "environment": self.environment,
            "sources": self.sources,
        }

    @classmethod
    def from_dict(cls, data):
        return cls(data["rows"], data["environment"], data["sources"])

    def to_json(self):
        return json.dumps(self.to_dict(), indent=1)

    def to_csv(self):
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

    def picture(self):
        """A matplotlib figure: latency by model, and memory beside it."""
        from lng_keras._base.extras import needed

        figures = needed("matplotlib.figure", "report")
        count = len(self.rows[0]["latency"])
        figure = figures.Figure(figsize=(7, 1.2 + 0.45 * len(self.rows) * 2))
        axes = figure.subplots(1, 2, sharey=True)
        names = [row["name"] for row in self.rows]
        height = 0.8 / max(count, 1)
        for k in range(count):
            entries = [row["latency"][k] for row in self.rows]
            medians = [entry["median_ms"] for entry in entries]
            base = medians[0]
            error = [
                [(e["median_ms"] - e["q25_ms"]) / base for e in entries],
                [(e["q75_ms"] - e["median_ms"]) / base for e in entries],
            ]
            axes[0].barh(
                [i + (k - (count - 1) / 2) * height for i in range(len(names))],
                [m / base for m in medians],
                height=height * 0.9,
                xerr=error,
                label=f"batch {entries[0]['batch']}, {entries[0]['mode']}",
            )
        axes[0].set_xlabel("latency, relative to the first")
        if count:
            axes[0].legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2))
        memory = [(row["activation_bytes"] or 0) / 1e6 for row in self.rows]
        axes[1].barh(range(len(names)), memory, height=0.6, color="tab:gray")
        axes[1].set_xlabel("peak activations, MB, batch 1")
        axes[0].set_yticks(range(len(names)), names)
        axes[0].invert_yaxis()
        figure.set_layout_engine("tight")
        return figure


def _aligned(table):
    """Lines of text in which the columns are as wide as their widest cell."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    for line in table:
        cells = (cell.ljust(w) for cell, w in zip(line, widths, strict=True))
        yield "  ".join(cells).rstrip()


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
