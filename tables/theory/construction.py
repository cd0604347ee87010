"""Experiment 3: layers and gaps of the width-3 LN-Net, and what it shatters."""

import pathlib
import time

import numpy as np

from lng_keras.construction import LNNetClassifier, plan_layers, verify
from lng_keras.construction.classifier import network_weights
from tables.theory import files

_DRAWS = [(10, 2), (20, 2), (40, 2), (60, 2), (30, 3), (60, 3), (30, 10), (60, 10)]
_SIZES = {
    "smoke": (10, 20),
    "cpu": (10, 20, 40, 80, 160, 320),
    "full": (10, 20, 40, 80, 160, 320),
}
_FEATURES = 5
_LARGEST = 500


def run(budget, seeds, output, parts=("draws", "reach", "largest", "shatter")):
    """Writes `construction_*.csv` and `construction.png`."""
    output = pathlib.Path(output)
    if "draws" in parts:
        draws(budget, output)
    if "reach" in parts:
        reach(budget, output)
    if "largest" in parts and budget != "smoke":
        largest(output)
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
            model.set_weights(network_weights(plan))
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
    """The worst labels for a line, alternating, up to m = 500, and a proof of each."""
    rows = []
    for m in _SIZES[budget]:
        for name in ("alternating", "random"):
            x, labels = sample(m, 2, 0)
            if name == "alternating":
                x, labels = np.sort(x[:, :1], axis=0), np.arange(m) % 2
            for merge in ("points", "runs"):
                started = time.time()
                plan = plan_layers(x, labels, 0, merge)
                seconds = time.time() - started
                row = dict(m=m, labels=name, merge=merge, layers=len(plan.folds))
                row.update(smallest_gap=float(plan.gaps.min()), quality=plan.quality)
                for dtype in ("float32", "float64"):
                    row[f"{dtype}_right"] = _right(plan, x, labels, dtype)
                row.update(_proof(plan, x, labels), search_seconds=seconds)
                rows.append(row)
                files.write_csv(output / "construction_reach.csv", rows)
                print(row, flush=True)
    _plot(rows, output / "construction.png")
    return rows


def largest(output):
    """The plan for 500 samples with alternating labels, by a wider search.

    Only the plan: float64 does not hold it, and Keras' functional models end at
    Python's recursion limit, near 490 LN layers.
    """
    x, _ = sample(_LARGEST, 2, 0)
    x, labels = np.sort(x[:, :1], axis=0), np.arange(_LARGEST) % 2
    started = time.time()
    plan = plan_layers(x, labels, 0, "points", numbers=800 * _LARGEST)
    row = dict(m=_LARGEST, labels="alternating", merge="points")
    row.update(layers=len(plan.folds), smallest_gap=float(plan.gaps.min()))
    row.update(quality=plan.quality, held_by_float64=plan.holds("float64"))
    row.update(search_seconds=time.time() - started)
    files.write_csv(output / "construction_largest.csv", [row])
    print(row, flush=True)


def _right(plan, x, labels, dtype):
    """Samples that the Keras network of this dtype gets right, held or not."""
    model = LNNetClassifier(
        x.shape[1], len(plan.folds), plan.classes.tolist(), dtype=dtype
    )
    model.set_weights(network_weights(plan))
    return int((model.predict_labels(x) == labels).sum())


def _proof(plan, x, labels):
    """Ball arithmetic on the float64 weights: samples proved right."""
    model = LNNetClassifier(x.shape[1], len(plan.folds), plan.classes.tolist())
    model.set_weights(network_weights(plan))
    result = verify(model, x, labels)
    return dict(
        proved_right=result.right,
        proved_wrong=result.wrong,
        proof_bits=result.bits,
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
                weights = network_weights(plan_layers(x, labels, 0, "points"))
            model.set_weights(weights)
            right += bool((model.predict_labels(x) == labels).all())
        rows.append(dict(layers=m - 2, points=m, labelings=checked, realized=right))
        files.write_csv(output / "construction_shatter.csv", rows)
        print(rows[-1], flush=True)
    return rows


def _plot(rows, path):
    plt = files.pyplot()
    figure, (layers, gap) = plt.subplots(1, 2, figsize=(11, 4.3))
    kinds = [(a, b) for a in ("alternating", "random") for b in ("points", "runs")]
    for color, (labels, merge) in enumerate(kinds):
        own = [r for r in rows if r["labels"] == labels and r["merge"] == merge]
        m = [r["m"] for r in own]
        style = dict(marker="o", color=f"C{color}", label=f"{labels} labels, {merge}")
        layers.plot(m, [r["layers"] for r in own], **style)
        gap.plot(m, [r["quality"] for r in own], **style)
    for dtype in ("float32", "float64"):
        limit = 4 * np.finfo(dtype).eps
        gap.axhline(limit, color="k", linestyle="--", linewidth=0.8)
        gap.annotate(f"limit of {dtype}", (rows[0]["m"], 1.3 * limit), fontsize=8)
    for axes in (layers, gap):
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel("samples m")
    layers.set_ylabel("LN layers of 3 neurons")
    gap.set_ylabel("smallest gap over its rounding error")
    layers.legend(fontsize=8)
    files.save_figure(figure, path)
