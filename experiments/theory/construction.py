"""Experiment 3: layers and gaps of the width-3 LN-Net, and what it shatters."""

import pathlib
import time

import numpy as np

from experiments.machinery import files, plots
from lng_keras._base.extras import needed
from lng_keras.construction import ExactLNNet, LNNetClassifier, plan_layers, verify

_DRAWS = [(10, 2), (20, 2), (40, 2), (60, 2), (30, 3), (60, 3), (30, 10), (60, 10)]
_SIZES = {
    "smoke": (10, 20),
    "cpu": (10, 20, 40, 80, 160, 320, 500),
    "full": (10, 20, 40, 80, 160, 320, 500),
}
_FEATURES = 5


def run(budget, seeds, output, parts=("draws", "reach", "shatter")):
    """Writes `construction_*.csv` and `construction.png`."""
    needed("flint", "exact")  # asked for after minutes, else
    output = pathlib.Path(output)
    if "draws" in parts:
        draws(budget, output)
    if "reach" in parts:
        reach(budget, output)
    if "shatter" in parts:
        shatter(budget, output)


def draws(budget, output):
    """Random points and labels: how many networks are right in a Keras forward pass."""
    count = 2 if budget == "smoke" else 100
    path = output / "construction_draws.csv"
    done = {(r["m"], r["classes"], r["merge"]): r for r in files.read_csv(path)}
    rows = []
    for merge in ("points", "runs"):
        for m, classes in _DRAWS:
            key = (str(m), str(classes), merge)
            row = done.get(key)
            if row is None or int(row["draws"]) != count:
                row = _draw(m, classes, merge, count)
            rows.append(row)
            files.write_csv(path, rows)
            print(row, flush=True)
    return rows


def _draw(m, classes, merge, count):
    started = time.time()
    right, layers, quality = 0, [], []
    models = {}  # by depth: making a deep model takes longer than planning it
    for seed in range(count):
        x, labels = sample(m, classes, seed)
        plan = plan_layers(x, labels, seed, merge)
        quality.append(plan.quality)
        layers.append(len(plan.folds))
        if plan.holds("float64"):
            depth = len(plan.folds)
            if depth not in models:
                models[depth] = LNNetClassifier(_FEATURES, depth, plan.classes.tolist())
            model = models[depth]
            model.set_weights(plan.weights())
            right += bool((model.predict_labels(x) == labels).all())
    return dict(
        m=m,
        classes=classes,
        merge=merge,
        draws=count,
        right_in_float64=right,
        held_by_float32=sum(q > 4 * np.finfo("float32").eps for q in quality),
        fewest_layers=min(layers),
        mean_layers=float(np.mean(layers)),
        most_layers=max(layers),
        lowest_quality=min(quality),
        median_quality=float(np.median(quality)),
        seconds=time.time() - started,
    )


def sample(m, classes, seed):
    """Gaussian points in 5 dimensions, uniform labels, each class at least once."""
    rng = np.random.default_rng([seed, m, classes])
    labels = rng.integers(0, classes, m)
    labels[rng.permutation(m)[:classes]] = np.arange(classes)
    return rng.normal(size=(m, _FEATURES)), labels


def reach(budget, output):
    """Random labels, and alternating ones, the worst for a line, up to m = 500.

    Two networks for each: one that is planned in float64, and run by Keras in float32
    and float64; and one that is built and proved in arbitrary precision.
    """
    path = output / "construction_reach.csv"
    done = {(r["m"], r["labels"], r["merge"]): r for r in files.read_csv(path)}
    rows = []
    for m in _SIZES[budget]:
        for name in ("alternating", "random"):
            x, labels = sample(m, 2, 0)
            if name == "alternating":
                x, labels = np.sort(x[:, :1], axis=0), np.arange(m) % 2
            for merge in ("points", "runs"):
                row = done.get((str(m), name, merge))
                if row is None:
                    row = dict(m=m, labels=name, merge=merge)
                    row |= _in_float64(x, labels, merge) | _exactly(x, labels, merge)
                    print(row, flush=True)
                rows.append(row)
                files.write_csv(path, rows)
    _plot(rows, output / "construction.png")
    return rows


def _in_float64(x, labels, merge):
    """The plan of float64, and how many samples its networks get right.

    In float32 and float64 by Keras, and proved for the float64 weights as they are.
    """
    started = time.time()
    try:
        plan = plan_layers(x, labels, 0, merge)
    except ValueError:  # it found none
        names = "layers smallest_gap quality held_by_float64 float32_right"
        row = dict.fromkeys((*names.split(), "float64_right", "float64_proved"), "")
        return row | {"search_seconds": time.time() - started}
    row = dict(
        layers=len(plan.folds),
        smallest_gap=float(plan.gaps.min()),
        quality=plan.quality,
        held_by_float64=bool(plan.holds("float64")),
    )
    seconds = time.time() - started
    for dtype in ("float32", "float64"):
        model = LNNetClassifier(
            x.shape[1], len(plan.folds), plan.classes.tolist(), dtype=dtype
        )
        model.set_weights(plan.weights())
        row[f"{dtype}_right"] = int((model.predict_labels(x) == labels).sum())
    row["float64_proved"] = verify(model, x, labels).right
    return row | {"search_seconds": seconds}


def _exactly(x, labels, merge):
    """The network of arbitrary precision: samples that are proved right."""
    started = time.time()
    net = ExactLNNet.from_samples(x, labels, 0, merge)
    return dict(
        exact_layers=net.depth,
        exact_smallest_gap=float(net.gaps.min()),
        exact_quality=net.quality,
        exact_bits=net.bits,
        proved_right=net.proof.right,
        proof_bits=net.proof.bits,
        exact_seconds=time.time() - started,
    )


def shatter(budget, output):
    """All labelings of L + 2 points by L layers, every one checked in Keras."""
    rows = []
    for m in range(3, 5 if budget == "smoke" else 9):
        x = np.random.default_rng(m).normal(size=(m, 2))
        checked = right = 0
        model = LNNetClassifier(2, m - 2, [0, 1])
        for code in range(2**m):
            labels = (code >> np.arange(m)) & 1
            checked += 1
            if len(set(labels)) == 1:  # a constant: the last bias alone
                weights = [np.zeros_like(w) for w in model.get_weights()]
                weights[-1][labels[0]] = 1
            else:
                weights = plan_layers(x, labels, 0, "points").weights()
            model.set_weights(weights)
            right += bool((model.predict_labels(x) == labels).all())
        rows.append(dict(layers=m - 2, points=m, labelings=checked, realized=right))
        files.write_csv(output / "construction_shatter.csv", rows)
        print(rows[-1], flush=True)
    return rows


def _plot(rows, path):
    """Layers, gaps, and gaps in units of their rounding error: who holds them."""
    rows = [{k: _number(v) for k, v in row.items()} for row in rows]
    panels = {
        "layers": "LN layers of 3 neurons",
        "smallest_gap": "smallest gap between classes over the range",
        "quality": "quality: smallest gap over its rounding error",
    }
    figure = plots.figure(16, 4.8)
    all_axes = figure.subplots(1, 3)
    kinds = [(a, b) for a in ("alternating", "random") for b in ("points", "runs")]
    sizes = sorted({int(r["m"]) for r in rows})
    for axes, (key, title) in zip(all_axes, panels.items(), strict=True):
        for color, (labels, merge) in enumerate(kinds):
            own = [r for r in rows if r["labels"] == labels and r["merge"] == merge]
            m = [r["m"] for r in own]
            # Two kinds of labels take the same number of layers: one line is wider.
            wide = key == "layers" and color == 0
            style = dict(color=f"C{color}", linewidth=4 if wide else 1.5)
            exact = [r[f"exact_{key}"] for r in own]
            name = f"{labels} labels, {merge}"
            axes.plot(m, exact, "-o", markersize=4, label=name, **style)
            planned = [r[key] or np.nan for r in own]
            axes.plot(m, planned, ":x", markersize=5, **style)
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xticks(sizes, [str(m) for m in sizes])
        axes.minorticks_off()
        axes.set_xlabel("samples m")
        axes.set_title(title, fontsize=10)
    for dtype in ("float32", "float64"):
        limit = 4 * np.finfo(dtype).eps
        all_axes[2].axhline(limit, color="k", linestyle="--", linewidth=0.8)
        note = f"{dtype} holds what is above"
        all_axes[2].annotate(note, (sizes[0], limit / 60), fontsize=8)
    handles = all_axes[0].get_legend_handles_labels()[0]
    for style, name in (("-o", "arbitrary precision"), (":x", "planned in float64")):
        handles += all_axes[0].plot([], [], style, color="0.4", label=name)
    all_axes[0].legend(handles=handles, fontsize=8)
    plots.save(path, figure)


def _number(text):
    try:
        return float(text)
    except ValueError:
        return text
