"""Pictures of a table of trainings: bars, learning curves, accuracy by group size."""

import io
import pathlib

import numpy as np

from experiments.machinery import files, render, statistics


def draw(table, records, output):
    """Draws a table's pictures. Skipped without matplotlib.

    Args:
        table: of experiments/machinery/declaration.py.
        records: dict row name -> dict seed -> record.
        output: folder.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg  # noqa: F401
    except ImportError:
        return
    rows = render.values(table, records)
    if not rows:
        return
    labels = {row.name: row.label for row in table.rows}
    output = pathlib.Path(output)
    save(output / "accuracy.png", bars(table, rows, labels))
    save(output / "curves.png", curves(records, labels))
    for name, picture in table.pictures.items():
        save(output / name, picture(table, rows, records))
    sizes = by_group_size(table, rows)
    if sizes is not None:
        save(output / "group_size.png", sizes)


def figure(*size):
    """Returns an empty matplotlib figure of a size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained")


def save(path, picture):
    """Writes a figure as PNG, whole or not at all."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    FigureCanvasAgg(picture)
    data = io.BytesIO()
    # Without a version or a date the same numbers give the same file.
    picture.savefig(data, format="png", dpi=110, metadata={"Software": None})
    files.write(path, data.getvalue())


def bars(table, rows, labels):
    """One bar a row: the mean, each run as a dot, the standard deviation as a line.

    The reference's mean goes through all bars. If some rows have activations and some
    have none, these are told apart by color.
    """
    from matplotlib.patches import Patch

    picture = figure(8, 0.36 * len(rows) + 1.1)
    axes = picture.subplots()
    names = [name for name in labels if name in rows][::-1]
    summaries = {name: statistics.summarize(list(rows[name].values())) for name in rows}
    explained = []
    if table.reference in rows:
        mean = 100 * summaries[table.reference].mean
        explained.append(_reference_line(axes.axvline, mean, table))
    activated = {name: "activation" in table.row(name).flags for name in names}
    colors = {False: "#4c78a8", True: "#f2a65a"}
    if len(set(activated.values())) == 2:
        explained.append(Patch(color=colors[False], label="without activations"))
        explained.append(Patch(color=colors[True], label="with activations"))
    for i, name in enumerate(names):
        summary, color = summaries[name], colors[activated[name]]
        spread = 0 if summary.n < 2 else 100 * summary.std
        axes.barh(i, 100 * summary.mean, xerr=spread, color=color, capsize=3)
        dots = [100 * value for value in rows[name].values()]
        axes.plot(dots, [i] * len(dots), "k.", markersize=4)
    if explained:
        place = dict(loc="outside upper center", ncols=len(explained))
        picture.legend(handles=explained, fontsize=8, **place)
    ticks = [f"{labels[name]}, n={len(rows[name])}" for name in names]
    axes.set_yticks(range(len(names)), ticks)
    axes.set_xlim(left=0)  # a bar's length is what is compared
    axes.set_xlabel(f"{table.measure.replace('_', ' ')}, last epoch, percent")
    axes.grid(axis="x", alpha=0.3)
    axes.set_axisbelow(True)
    return picture


def _reference_line(draw_line, mean, table):
    label = f"mean of {table.row(table.reference).label}"
    return draw_line(mean, color="#555555", linestyle="--", linewidth=1, label=label)


def curves(records, labels):
    """Test and train accuracy over epochs, the mean over seeds of each row."""
    picture = figure(11, 4.2)
    panels = picture.subplots(1, 2, sharey=True)
    for quantity, axes in zip(("train_accuracy", "test_accuracy"), panels, strict=True):
        for i, name in enumerate(name for name in labels if name in records):
            runs = [r["metrics"] for r in records[name].values() if "metrics" in r]
            if not runs:
                continue
            mean = np.mean([[100 * row[quantity] for row in run] for run in runs], 0)
            style = ("-", "--", ":")[i // 10 % 3]  # ten colors, then another style
            axes.plot(np.arange(1, len(mean) + 1), mean, style, label=labels[name])
        axes.set(xlabel="epoch", title=quantity.replace("_", " "))
        axes.grid(alpha=0.3)
    panels[0].set_ylabel("percent (train: while training)")
    picture.legend(
        *panels[1].get_legend_handles_labels(), loc="outside right", fontsize=8
    )
    return picture


def by_group_size(table, rows):
    """Accuracy against group size, a line for each norm that was run with two sizes.

    The reference's mean goes through all sizes.
    """
    lines = {}
    for row in table.rows:
        size = row.flags.get("group_size")
        if size is None or row.name not in rows:
            continue
        what = row.flags["norm"]
        if row.flags.get("activation"):
            what += f", {row.flags['activation']}"
        lines.setdefault(what, []).append((size, rows[row.name]))
    lines = {
        what: points
        for what, points in lines.items()
        if len({size for size, _ in points}) > 1
    }
    if not lines:
        return None
    every = sorted({size for points in lines.values() for size, _ in points})
    picture = figure(6, 4)
    axes = picture.subplots()
    for what, points in lines.items():
        points.sort(key=lambda point: point[0])
        sizes = [size for size, _ in points]
        summaries = [statistics.summarize(list(v.values())) for _, v in points]
        means = [100 * s.mean for s in summaries]
        spreads = [0 if s.n < 2 else 100 * s.std for s in summaries]
        axes.errorbar(sizes, means, spreads, marker="o", capsize=3, label=what)
    if table.reference in rows:
        mean = 100 * statistics.summarize(list(rows[table.reference].values())).mean
        _reference_line(axes.axhline, mean, table)
    axes.set_xscale("log", base=2)
    axes.set_xticks(every, [str(size) for size in every])
    axes.set(xlabel="channels a group", ylabel=f"{table.measure.replace('_', ' ')}, %")
    axes.grid(alpha=0.3)
    axes.legend()
    return picture
