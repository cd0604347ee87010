"""Experiment 5: how many random labels linear nets, LN-Nets and LN-G nets memorize.

Each row is one run of train.py on all 50,000 grey CIFAR-10 training images with uniform
random labels, and its training accuracy at the end. The bound is what the best least
squares linear classifier reaches on the same images and labels. Every net has its own
learning rate, found by the same rule (`learning_rate`). Runs that are done are kept, so
the experiment goes on where it stopped.
"""

import pathlib
import time

import numpy as np

from experiments.machinery import files, plots, runs, tuning
from experiments.machinery.random_labels import SETTINGS

WIDTH = 256
DEPTHS = (1, 2, 4, 8, 16)
# name -> flags of train.py
NETS = {
    "linear": dict(norm="none"),
    "LN": dict(norm="ln"),
    "LN-G, size 16": dict(norm="lng", group_size=16),
    "LN-G, size 8": dict(norm="lng", group_size=8),
    "LN-G, size 4": dict(norm="lng", group_size=4),
}
HEADLINE_DEPTH = 4
EPOCHS = {"smoke": 1, "cpu": 20, "full": 150}
# Steps of about sqrt(10). The first three are tried with every net, and the next one
# while the best is at the edge of what was tried.
RATES = (0.00003, 0.0001, 0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
FIRST_RATES = (0.0003, 0.001, 0.003)
BOUND = "random_labels_linear_bound.csv"


def plan(budget, seeds):
    """Returns `(net, depth, seed)` of all runs: the headline depth has every seed."""
    if budget == "smoke":
        return [("linear", 1, 0), ("LN-G, size 8", 1, 0)]
    first = [(net, HEADLINE_DEPTH, 0) for net in NETS]
    # Likewise an interrupted sweep should have one net at every depth.
    nets = ["LN-G, size 8", "linear", "LN", "LN-G, size 16", "LN-G, size 4"]
    sweep = [(net, depth, 0) for net in nets for depth in DEPTHS]
    spread = [(net, HEADLINE_DEPTH, seed) for seed in range(seeds) for net in NETS]
    if budget == "full":
        spread += [(n, d, seed) for seed in range(seeds) for d in DEPTHS for n in NETS]
    return list(dict.fromkeys(first + spread + sweep))


def run(budget, seeds, output):
    """Trains what is not trained yet; writes `random_labels.csv` and `.png`.

    Args:
        budget: "smoke", "cpu" (20 epochs, all seeds at the headline depth only) or
            "full" (150 epochs, all seeds everywhere).
        seeds: int, seeds of the rows with a spread.
        output: folder of the results.
    """
    output = pathlib.Path(output)
    bounds = linear_bound(budget, seeds, output)
    rows, tried = [], []
    for net, depth, seed in plan(budget, seeds):
        if all(t["net"] != net for t in tried):
            tried += _tune(net, budget, output)
            files.write_csv(output / "random_labels_rates.csv", tried)
        rate = next(t["rate"] for t in tried if t["net"] == net and t["chosen"])
        record = _ensure(net, depth, seed, rate, budget, output)
        rows.append(_row(net, depth, seed, record))
        files.write_csv(output / "random_labels.csv", rows)
        _plot(rows, bounds, EPOCHS[budget], output / "random_labels.png")
    return rows


def linear_bound(budget, seeds, output):
    """Returns the training accuracy of least squares on each seed's labels."""
    from experiments.theory import images
    from lng_keras.measures import least_squares_accuracy

    path = pathlib.Path(output) / BOUND
    rows = {int(r["seed"]): r for r in files.read_csv(path)}
    missing = [s for s in range(seeds) if s not in rows]
    if missing:
        data = images.load(_dataset(budget), grayscale=True)
        x = data.train.images.reshape(len(data.train), -1)
        for seed in missing:
            started = time.time()
            labels = images.random_labels(data, seed)
            accuracy = least_squares_accuracy(x, labels)
            rows[seed] = dict(seed=seed, samples=len(x), inputs=x.shape[1])
            rows[seed].update(train_accuracy=accuracy, seconds=time.time() - started)
            files.write_csv(path, [rows[s] for s in sorted(rows)])
    return [float(rows[s]["train_accuracy"]) for s in range(seeds)]


def learning_rate(score):
    """Returns the best rate of `RATES`, and the score of each that was tried.

    The same rule for every net: the first three rates, then the next one as long as
    the best is the lowest or the highest tried. A tie goes to the lower rate.

    Args:
        score: function rate -> number, larger is better.
    """
    scores = {rate: score(rate) for rate in FIRST_RATES}
    while True:
        best = max(sorted(scores), key=scores.get)
        k = RATES.index(best)
        missing = [r for r in RATES[max(k - 1, 0) : k + 2] if r not in scores]
        if not missing:
            return best, dict(sorted(scores.items()))
        scores[missing[0]] = score(missing[0])


def _tune(net, budget, output):
    """Whole runs at the headline depth, of a seed (labels too) that is not published.

    What is compared is the training accuracy, so that is what chooses.
    """
    if budget == "smoke":
        return [dict(net=net, rate=0.001, train_accuracy="", chosen=True)]

    def score(rate):
        record = _ensure(net, HEADLINE_DEPTH, tuning.SEED, rate, budget, output)
        return record.get("result", {"train_accuracy": -1.0})["train_accuracy"]

    best, scores = learning_rate(score)
    return [
        dict(net=net, rate=r, train_accuracy=s, chosen=r == best)
        for r, s in scores.items()
    ]


def _dataset(budget):
    return "cifar10_sample" if budget == "smoke" else "cifar10"


def _ensure(net, depth, seed, rate, budget, output):
    name = f"{net.replace(', size ', '')}_depth{depth}_seed{seed}_rate{rate:g}".lower()
    flags = dict(**SETTINGS, **NETS[net], width=WIDTH, depth=depth, seed=seed)
    flags.update(dataset=_dataset(budget), epochs=EPOCHS[budget], learning_rate=rate)
    path = output / "random_labels_runs" / f"{name}.json"
    # JAX compiles these small steps best on a CPU: 1.5 times TensorFlow's speed here.
    return runs.ensure(path, f"theory-{name}", flags, backend="jax")


def _row(net, depth, seed, record):
    result = record.get("result", {"train_accuracy": "diverged"})
    flags = record["flags"]
    row = dict(net=net, depth=depth, seed=seed, epochs=flags["epochs"])
    row["learning_rate"] = flags["learning_rate"]
    for key in ("train_accuracy", "train_loss", "parameters", "seconds"):
        row[key] = result.get(key, "")
    return row


def _plot(rows, bounds, epochs, path):
    figure = plots.figure(7, 4.2)
    axes = figure.subplots()
    for net in NETS:
        depths = sorted({int(r["depth"]) for r in rows if r["net"] == net})
        points = [
            [
                100 * float(r["train_accuracy"])
                for r in rows
                if _is(r, net, d) and r["train_accuracy"] != "diverged"
            ]
            for d in depths
        ]
        spread = [np.std(p, ddof=1) if len(p) > 1 else 0 for p in points]
        means = [np.mean(p) for p in points]
        axes.errorbar(depths, means, spread, marker="o", capsize=3, label=net)
    bound = 100 * np.mean(bounds)
    axes.axhline(bound, color="k", linestyle="--")
    axes.annotate(
        f"best least squares linear classifier, {bound:.1f} %",
        (0.02, bound),
        xycoords=("axes fraction", "data"),
        textcoords="offset points",
        xytext=(0, 4),
    )
    axes.axhline(10, color="grey", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_xticks(DEPTHS, [str(d) for d in DEPTHS])
    axes.set_xlabel(f"hidden layers of {WIDTH} neurons")
    axes.set_ylabel("training accuracy on random labels, %")
    axes.set_title(f"50,000 grey CIFAR-10 images, {epochs} epochs")
    axes.legend(fontsize=8)
    plots.save(path, figure)


def _is(row, net, depth):
    return row["net"] == net and int(row["depth"]) == depth
