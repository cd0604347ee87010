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
        sources: dict, where FLOPs and memory come from.
    """

    def __init__(self, rows, environment, sources):
        self.rows = rows
        self.environment = environment
        self.sources = sources

    def columns(self):
        """Names of the compared columns, in order."""
        names = ["parameters", "weight MB", "MFLOPs", "activation MB"]
        names += [
            f"ms, batch {entry['batch']}, {entry['mode']}"
            for entry in self.rows[0]["latency"]
        ]
        return names + (["accuracy"] if "accuracy" in self.rows[0] else [])

    def values(self, row):
        """The numbers of a row in the order of `columns`; None where unknown."""
        values = [
            row["parameters"],
            _scaled(row["weight_bytes"], 1e6),
            _scaled(row["flops"], 1e6),
            _scaled(row["activation_bytes"], 1e6),
        ]
        values += [entry["median_ms"] for entry in row["latency"]]
        return values + ([row["accuracy"]] if "accuracy" in self.rows[0] else [])

    def cells(self):
        """Text of each row: the value, its spread and its ratio to the first row."""
        base = self.values(self.rows[0])
        for i, row in enumerate(self.rows):
            cells = [row["name"]]
            spreads = [None] * 4 + row["latency"] + [None]
            values = zip(self.values(row), base, spreads, strict=False)
            for value, reference, spread in values:
                text = _number(value)
                if spread:
                    text += (
                        f" ({_number(spread['q25_ms'])}-{_number(spread['q75_ms'])})"
                    )
                if i and value is not None and reference:
                    text += f" x{value / reference:.2f}"
                cells.append(text)
            yield cells

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
        if (e.get("load") or 0) > 1.5 * e["threads"]:
            text += (
                f" The machine was busy (load {e['load']} on {e['threads']} threads): "
                "do not trust these times."
            )
        return (
            f"{text} FLOPs (batch 1): {self.sources['flops']}. Activation memory "
            f"(batch 1): {self.sources['activation_bytes']}. xN: relative to the first "
            "row."
        )

    def layer_rows(self):
        """One dict a measured layer: of which model, `path`, `class`, costs."""
        return [
            {"model": row["name"], **layer}
            for row in self.rows
            for layer in row["layers"]
        ]

    def __str__(self):
        table = [["model", *self.columns()], *self.cells()]
        widths = [max(len(line[i]) for line in table) for i in range(len(table[0]))]
        lines = [
            "  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True))
            for line in table
        ]
        return "\n".join([*(line.rstrip() for line in lines), self.footer()])

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
                latency = [""] * len(row["latency"])
                if layer["latency"]:
                    latency = [entry["median_ms"] for entry in layer["latency"]]
                writer.writerow(
                    [
                        row["name"],
                        layer["path"],
                        layer["parameters"],
                        layer["parameters"] * 4 / 1e6,
                        _scaled(layer["flops"], 1e6),
                        _scaled(layer["activation_bytes"], 1e6),
                        *latency,
                    ]
                )
        return out.getvalue()

    def picture(self):
        """A matplotlib figure: latency by model, and memory beside it."""
        from lng_keras.extras import needed

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


def _scaled(value, unit):
    return None if value is None else value / unit


def _number(value):
    if value is None:
        return "-"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.3g}" if abs(value) < 1000 else f"{value:,.0f}"
