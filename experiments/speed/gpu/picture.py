"""The share of a copy's speed against group size, a panel for each input and pass."""

import itertools

from experiments.machinery import plots
from experiments.speed.gpu import cases, records


def write(folder):
    """Draws times.png, of what there is so far; nothing without matplotlib."""
    rows = [r for r in records.read(folder, records.TIMES) if r["share_of_copy"]]
    rows = [r for r in rows if r["name"] != "copy"]
    try:
        figure = plots.figure(13, 0)
    except ImportError:
        return
    if not rows:
        return
    lines = list(dict.fromkeys((r["where"], r["dtype"]) for r in rows))
    figure.set_figheight(2.6 * len(lines) + 0.8)
    panels = figure.subplots(len(lines), len(cases.PASSES), squeeze=False)
    names = list(dict.fromkeys((r["framework"], r["name"]) for r in rows))
    for (i, line), (j, what) in itertools.product(
        enumerate(lines), enumerate(cases.PASSES)
    ):
        here = [r for r in rows if (r["where"], r["dtype"], r["pass"]) == (*line, what)]
        _panel(panels[i][j], here, names)
        panels[i][j].set_title(f"{line[0]}, {line[1]}, {what}", fontsize=9)
    handles = {}
    for panel in panels.flat:
        handles |= dict(zip(*panel.get_legend_handles_labels()[::-1], strict=True))
    figure.legend(
        handles.values(), handles, loc="outside upper center", ncols=5, fontsize=8
    )
    plots.save(folder / "times.png", figure)


def _panel(axes, rows, names):
    sizes = sorted({int(r["size"]) for r in rows})
    for i, (framework, name) in enumerate(names):
        line = sorted(
            (r for r in rows if (r["framework"], r["name"]) == (framework, name)),
            key=lambda r: int(r["size"]),
        )
        if not line:
            continue
        axes.plot(
            [sizes.index(int(r["size"])) for r in line],
            [float(r["share_of_copy"]) for r in line],
            "o-" if framework == "jax" else "s--",
            color=f"C{i}",
            linewidth=2.2 if name == cases.OURS else 1,
            markersize=3,
            label=f"{name} ({framework})",
        )
    axes.axhline(1, color="0.6", linewidth=0.8, zorder=0)
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(len(sizes)), sizes)
    axes.set_xlabel("channels a group", fontsize=8)
    axes.set_ylabel("of the copy", fontsize=8)
    axes.grid(alpha=0.3)
