"""Latency and memory of some models as bars, relative to the first."""

from collections.abc import Callable
from typing import Any

from lng_keras._base.extras import needed


def draw(rows: list[dict[str, Any]]) -> Any:
    """A matplotlib figure of the rows of a `CostTable`."""
    figures = needed("matplotlib.figure", "report")
    figure = figures.Figure(figsize=(7, 1.2 + 0.45 * len(rows) * 2))
    latency, memory = figure.subplots(1, 2, sharey=True)
    latency_bars(latency, rows)
    latency.set_xlabel("latency, relative to the first")
    if rows[0]["latency"]:
        latency.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.2))
    values = [(row["activation_bytes"] or 0) / 1e6 for row in rows]
    memory.barh(range(len(rows)), values, height=0.6, color="tab:gray")
    memory.set_xlabel("peak activations, MB, batch 1")
    latency.set_yticks(range(len(rows)), [row["name"] for row in rows])
    latency.invert_yaxis()
    figure.set_layout_engine("tight")
    return figure


def latency_bars(
    axes: Any,
    rows: list[dict[str, Any]],
    color_of: Callable[[int], str] | None = None,
) -> None:
    """One group of bars a row, one bar a batch size and mode, with its quartiles.

    Args:
        color_of: function from an index, 0 for the lines of the quartiles and one of
            each kind of bar from 1, to a color; None: matplotlib's own.
    """
    kinds = rows[0]["latency"]
    height = 0.8 / max(1, len(kinds))
    for k, kind in enumerate(kinds):
        base = kind["median_ms"]
        entries = [row["latency"][k] for row in rows]
        colors = {}
        if color_of:
            error = {"ecolor": color_of(0), "elinewidth": 1}
            colors = {"color": color_of(k + 1), "error_kw": error}
        axes.barh(
            [i + (k - (len(kinds) - 1) / 2) * height for i in range(len(rows))],
            [e["median_ms"] / base for e in entries],
            height=0.9 * height,
            xerr=[
                [(e["median_ms"] - e["q25_ms"]) / base for e in entries],
                [(e["q75_ms"] - e["median_ms"]) / base for e in entries],
            ],
            label=f"batch {kind['batch']}, {kind['mode']}",
            **colors,
        )
