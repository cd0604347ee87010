"""The picture beside each table of kernel timings."""

from experiments.machinery import plots


def ratios(rows, environment, path):
    """Draws ratio against group size, one panel for each shape and pass."""
    panels = list(dict.fromkeys((row["shape"], row["pass"]) for row in rows))
    columns = 2
    lines = -(-len(panels) // columns)
    figure = plots.figure(11, 3.4 * lines)
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis, (shape, what) in zip(axes.flat, panels, strict=False):
        here = [r for r in rows if (r["shape"], r["pass"]) == (shape, what)]
        sizes = sorted({r["group_size"] for r in here})
        for name in dict.fromkeys(r["name"] for r in here):
            line = [r for r in here if r["name"] == name]
            ours = name.startswith("GroupLayerNormalization")
            axis.errorbar(
                [sizes.index(r["group_size"]) for r in line],
                [r["ratio"] for r in line],
                yerr=[
                    [max(0, r["ratio"] - r["ratio_low"]) for r in line],
                    [max(0, r["ratio_high"] - r["ratio"]) for r in line],
                ],
                label=name,
                marker="o",
                markersize=3,
                linewidth=2.2 if ours else 1,
                capsize=2,
            )
        axis.axhline(1, color="0.6", linewidth=0.8, zorder=0)
        axis.set_yscale("log", base=2)
        axis.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axis.set_xticks(range(len(sizes)), sizes)
        axis.set_title(f"({shape.replace('x', ', ')}), {what}", fontsize=10)
        axis.set_xlabel("channels a group")
        axis.set_ylabel("time / LayerNormalization")
    axes.flat[0].legend(fontsize=7)
    device = f"{environment['device']}, {environment['cores']} cores"
    figure.suptitle(f"{environment['backend']} on {device}", fontsize=11)
    plots.save(path, figure)
