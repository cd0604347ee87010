"""The report's pictures, each as an SVG for light and one for dark pages."""

import base64
import functools
import io
import statistics
from collections.abc import Callable
from typing import Any

from lng_keras._base.extras import needed
from lng_keras.adopt.cost import CostTable
from lng_keras.adopt.cost.picture import latency_bars
from lng_keras.adopt.search import pareto_front
from lng_keras.adopt.trainings import label

Picture = dict[str, str]  # theme -> data URI
Results = dict[str, list[dict[str, Any]]]  # of `trainings.run_all`

# Okabe and Ito's colors, told apart with any color vision; the first is for the model
# as it is. On dark pages the dark ones are lighter.
THEMES: dict[str, dict[str, Any]] = {
    "light": {
        "text": "#1b1f24",
        "grid": "#d0d7de",
        "series": "#8c8c8c #0072B2 #E69F00 #009E73 #CC79A7 #56B4E9 #D55E00".split(),
    },
    "dark": {
        "text": "#e6edf3",
        "grid": "#444c56",
        "series": "#a8b1ba #56B4E9 #E69F00 #2FC79A #E3A3C6 #3F8FD0 #F0803C".split(),
    },
}


def both(
    draw: Callable[[Any, Callable[[int], str]], None], size: tuple[float, float]
) -> Picture:
    """Draws a picture in each theme; returns theme -> data URI.

    Args:
        draw: function of a figure and a function from an index to a color.
        size: width and height in inches.
    """
    figures = needed("matplotlib.figure", "report")
    matplotlib = needed("matplotlib", "report")
    uris = {}
    for theme, colors in THEMES.items():
        settings = {
            "text.color": colors["text"],
            "axes.edgecolor": colors["grid"],
            "axes.labelcolor": colors["text"],
            "xtick.color": colors["text"],
            "ytick.color": colors["text"],
            "grid.color": colors["grid"],
            "axes.grid": True,
            "axes.axisbelow": True,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "font.size": 11,
            "legend.frameon": False,
            "svg.hashsalt": "lng_keras",
        }
        with matplotlib.rc_context(settings):
            figure = figures.Figure(figsize=size, layout="constrained")
            series = colors["series"]
            draw(figure, functools.partial(_nth, series))
            out = io.BytesIO()
            figure.savefig(out, format="svg", transparent=True, metadata={"Date": None})
        data = base64.b64encode(out.getvalue()).decode()
        uris[theme] = f"data:image/svg+xml;base64,{data}"
    return uris


def _nth(series, i):
    return series[i % len(series)]


def accuracy(results: Results, chance: float) -> Picture:
    """Accuracy of each candidate: every seed, mean and standard deviation."""

    def draw(figure, color_of):
        axes = figure.subplots()
        for i, runs in enumerate(results.values()):
            color = color_of(i)
            values = [100 * run["accuracy"] for run in runs]
            spread = statistics.stdev(values) if len(values) > 1 else 0
            axes.plot(values, [i] * len(values), "|", color=color, markersize=14)
            axes.errorbar(
                [statistics.mean(values)],
                [i],
                xerr=[spread],
                fmt="o",
                capsize=4,
                color=color,
            )
        axes.axvline(100 * chance, color=color_of(0), linestyle=":")
        axes.annotate(
            "most frequent class",
            (100 * chance, 1),
            xycoords=("data", "axes fraction"),
            xytext=(3, 2),
            textcoords="offset points",
            fontsize=8,
        )
        axes.set_yticks(range(len(results)), [label(name) for name in results])
        axes.set_ylim(len(results) - 0.5, -0.5)
        axes.set_xlabel("validation accuracy, %: mean ± std, each seed")

    return both(draw, (5, 1.3 + 0.4 * len(results)))


def curves(results: Results) -> Picture:
    """Learning curves: validation accuracy by epoch, one line a seed."""

    def draw(figure, color_of):
        axes = figure.subplots()
        for i, (name, runs) in enumerate(results.items()):
            for k, run in enumerate(runs):
                values = [100 * v for v in run["history"]["val_accuracy"]]
                axes.plot(
                    range(1, len(values) + 1),
                    values,
                    marker=".",
                    color=color_of(i),
                    label=label(name) if not k else None,
                )
        axes.set_xlabel("epoch")
        axes.set_ylabel("validation accuracy, %")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.legend(fontsize=9)

    return both(draw, (5, 3.2))


def costs(table: CostTable) -> Picture:
    """Latency and peak activations relative to the model as it is."""

    def draw(figure, color_of):
        rows = table.rows
        latency, memory = figure.subplots(2, height_ratios=[2, 1])
        latency_bars(latency, rows, color_of)
        latency.set_xlabel("latency / as it is")
        base = rows[0]["activation_bytes"]
        if base:
            ratios = [(row["activation_bytes"] or 0) / base for row in rows]
            memory.barh(range(len(rows)), ratios, height=0.6, color=color_of(0))
        memory.set_xlabel("peak activations / as it is")
        for axes in (latency, memory):
            axes.set_yticks(range(len(rows)), [row["name"] for row in rows])
            axes.invert_yaxis()
            axes.axvline(1, color=color_of(0), linestyle=":")
        figure.legend(loc="outside lower center", ncols=2, fontsize=9)

    return both(draw, (5, 2.4 + 0.9 * len(table.rows)))


def front(points: dict[str, tuple[float, float]], batch: int) -> Picture:
    """Accuracy against latency; a line joins what nothing beats in both at once.

    Args:
        points: dict, name -> accuracy as a fraction, and milliseconds.
        batch: int, the examples that take so long.
    """
    best = pareto_front(list(points.values()))

    def draw(figure, color_of):
        axes = figure.subplots()
        for i, (name, (benefit, cost)) in enumerate(points.items()):
            axes.plot(
                [cost], [100 * benefit], "o", color=color_of(i), label=label(name)
            )
        line = sorted(
            (cost, 100 * benefit)
            for (benefit, cost), kept in zip(points.values(), best, strict=True)
            if kept
        )
        axes.plot(*zip(*line, strict=True), color=color_of(0), zorder=0)
        axes.set_xlabel(f"latency of a batch of {batch}, ms")
        axes.set_ylabel("validation accuracy, %")
        axes.legend(fontsize=9)

    return both(draw, (5, 3.2))


def network(rows: list[dict[str, Any]]) -> Picture:
    """The normalizations from input to output, what each is and what it becomes.

    Args:
        rows: of `SwapReport.to_dict()`, of one candidate.
    """

    def draw(figure, color_of):
        axes = figure.subplots()
        axes.axis("off")
        axes.plot([0, 0], [-1, len(rows)], color=color_of(0), zorder=0)
        end = dict(ha="center", va="center", fontsize=8, annotation_clip=False)
        axes.annotate("input", (0, -1.6), **end)
        axes.annotate("output", (0, len(rows) + 0.6), **end)
        for i, row in enumerate(rows):
            replaced = row["status"] == "replaced"
            color = color_of(1 if replaced else 0)
            axes.plot([0], [i], "s" if replaced else "o", color=color, markersize=5)
            axes.text(-0.3, i, _middle(row["path"]), ha="right", va="center", size=7)
            text = _short(row["before"])
            if replaced:
                text += f" → {_short(row['after'])}"
            if row["follows"]:
                text += f", then {row['follows']}"
            axes.text(
                0.3, i, _middle(text, 60), ha="left", va="center", size=7, color=color
            )
        axes.set_xlim(-5, 8)
        axes.set_ylim(len(rows) + 1.2, -2.2)

    return both(draw, (6.5, 0.8 + 0.17 * len(rows)))


_SHORT = {
    "BatchNormalization": "BN",
    "LayerNormalization": "LN",
    "GroupNormalization": "GN",
    "RMSNormalization": "RMS",
    "PositionalGroupLayerNormalization": "LN-G-Position",
    "GroupLayerNormalization": "LN-G",
}


def _short(text):
    """ "GroupLayerNormalization(group_size=8)" as "LN-G 8"."""
    name, _, arguments = text.partition("(")
    number = arguments.rstrip(")").partition("=")[2]
    return f"{_SHORT.get(name, name)} {number}".rstrip()


def _middle(text, most=38):
    """A text without its middle if it is longer than `most` letters."""
    if len(text) <= most:
        return text
    half = (most - 1) // 2
    return f"{text[:half]}…{text[-half:]}"


def profile(values: dict[str, list[list[Any]]]) -> Picture:
    """Nonlinearity of each normalization, by place: name -> list of (path, value)."""

    def draw(figure, color_of):
        axes = figure.subplots()
        for i, (name, points) in enumerate(values.items()):
            axes.plot(
                range(1, len(points) + 1),
                [value for _, value in points],
                marker=".",
                color=color_of(i + 1),
                label=label(name),
            )
        axes.set_yscale("log")
        ticker = needed("matplotlib.ticker", "report")
        axes.yaxis.set_major_formatter(ticker.LogFormatter())
        # Numbers between the powers of ten only where there are few of those.
        axes.yaxis.set_minor_formatter(ticker.LogFormatter(minor_thresholds=(1, 0.4)))
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("normalization, in the model's order")
        axes.set_ylabel("H(LN-G) / H(LN), median")
        axes.legend(fontsize=9)

    return both(draw, (5, 3))
