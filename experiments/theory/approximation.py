"""Experiment 4: linear -> LN-G -> linear fits cos(pi x); one plain LN cannot."""

import pathlib

import numpy as np

from experiments.machinery import files, plots
from lng_keras import GroupLayerNormalization

SIZES = (2, 4, 8)
_WIDTHS = {"smoke": (16, 64), "cpu": (16, 32, 64, 128, 256, 512)}
_FIT = np.linspace(-3, 3, 1201)
_CHECK = np.linspace(-3, 3, 6007)  # no point of the fit but the ends and the middle
_SEEDS = 5


def run(budget, seeds, output):
    """Writes `approximation.csv` and `.png`: largest errors over [-3, 3].

    The first layer is drawn at random, with the kinks of the groups spread over the
    interval; the last is the least squares fit. A plain LN of a scalar input computes
    (a x + b) / sqrt(x^2 + p x + q) + c at any width, so its best uniform error is found
    by a linear program in (a, b, c) for each (p, q) of a grid: a bound on training.
    """
    widths = _WIDTHS.get(budget, _WIDTHS["cpu"])
    shown = widths[1]  # narrow enough to tell the group sizes apart
    rows, curves = [], {}
    for size in SIZES:
        for width in widths:
            fits = [_fit(size, width, seed) for seed in range(_SEEDS)]
            errors = [float(np.abs(y - _target(_CHECK)).max()) for y in fits]
            if width == shown:
                curves[size] = fits[int(np.argmin(errors))]
            rows.append(_row(f"LN-G, size {size}", width, errors))
    error, curves["LN"] = plain_layer_normalization(9 if budget == "smoke" else 21)
    rows.append(_row("LN, any width", "any", [error]))
    files.write_csv(pathlib.Path(output) / "approximation.csv", rows)
    _plot(rows, curves, shown, pathlib.Path(output) / "approximation.png")
    return rows


def plain_layer_normalization(steps):
    """Returns the lowest uniform error of one LN on a grid, and the best function.

    The zero function has error 1, so 1 is what "no better than nothing" means.
    """
    from scipy.optimize import linprog

    x, best = np.linspace(-3, 3, 121), (np.inf, None)
    y = _target(x)
    for center in np.linspace(-4, 4, steps):
        for spread in np.geomspace(1e-2, 10, steps):  # x^2 + p x + q > 0

            def features(x, center=center, spread=spread):
                root = np.sqrt((x - center) ** 2 + spread**2)
                return np.stack([(x - center) / root, spread / root, 1 + 0 * x], axis=1)

            f, one = features(x), np.ones((len(x), 1))
            found = linprog(
                [0, 0, 0, 1],
                A_ub=np.block([[f, -one], [-f, -one]]),
                b_ub=np.concatenate([y, -y]),
                bounds=[(None, None)] * 3 + [(0, None)],
            )
            if found.x[3] < best[0]:
                best = found.x[3], features(_CHECK) @ found.x[:3]
    return float(best[0]), best[1]


def _target(x):
    return np.cos(np.pi * x)


def _fit(size, width, seed):
    """A Keras model with random first layer and fitted last layer, on `_CHECK`."""
    import keras

    rng = np.random.default_rng([seed, size, width])
    groups = width // size
    center = np.repeat(
        -3 + 6 * (np.arange(groups) + rng.uniform(size=groups)) / groups, size
    )
    slope = rng.normal(size=width)
    # Groups of two are steps however steep; larger ones turn within about 6 / groups.
    smooth = rng.normal(size=width) * max(6 / groups, 0.5)
    hidden = keras.layers.Dense(width)
    norm = GroupLayerNormalization(group_size=size, center=False, scale=False)
    last = keras.layers.Dense(1)
    model = keras.Sequential([keras.Input((1,)), hidden, norm, last])
    hidden.set_weights([slope[None], smooth - slope * center])
    inner = keras.Model(model.inputs, norm.output)
    f = inner.predict(_FIT[:, None].astype("float32"), batch_size=2000, verbose=0)
    f = np.column_stack([f.astype(np.float64), np.ones(len(f))])
    # The cutoff keeps the weights small enough for a forward pass in float32.
    solution = np.linalg.lstsq(f, _target(_FIT), rcond=1e-6)[0]
    last.set_weights([solution[:-1, None], solution[-1:]])
    return model.predict(_CHECK[:, None].astype("float32"), batch_size=7000, verbose=0)[
        :, 0
    ]


def _row(net, width, errors):
    return dict(
        net=net,
        width=width,
        seeds=len(errors),
        median_largest_error=float(np.median(errors)),
        best_largest_error=min(errors),
        worst_largest_error=max(errors),
    )


def _plot(rows, curves, shown, path):
    figure = plots.figure(12, 4.6)
    left, right = figure.subplots(1, 2)
    left.plot(_CHECK, _target(_CHECK), color="0.75", linewidth=5, label="cos(pi x)")
    for name, curve in curves.items():
        label = "one LN, best of any width" if name == "LN" else f"LN-G, size {name}"
        left.plot(_CHECK, curve, linewidth=1.2, label=label)
    left.set_ylim(-1.3, 2.1)
    left.set_xlabel("x")
    left.set_title(f"width {shown}, the best of {_SEEDS} seeds", fontsize=10)
    left.legend(fontsize=8, loc="upper center", ncols=2)
    for size in SIZES:
        own = [r for r in rows if r["net"] == f"LN-G, size {size}"]
        y = [r["median_largest_error"] for r in own]
        low = [a - r["best_largest_error"] for a, r in zip(y, own, strict=True)]
        high = [r["worst_largest_error"] - a for a, r in zip(y, own, strict=True)]
        label = own[0]["net"]
        right.errorbar(
            [r["width"] for r in own],
            y,
            (low, high),
            marker="o",
            capsize=3,
            label=label,
        )
    right.axhline(rows[-1]["best_largest_error"], color="C3", label=rows[-1]["net"])
    right.axhline(1e-2, color="0.6", linestyle="--")
    right.set_xscale("log", base=2)
    right.set_yscale("log")
    right.set_xlabel("width")
    right.set_title(
        f"largest error on [-3, 3], median and range of {_SEEDS} seeds", fontsize=10
    )
    right.legend(fontsize=8)
    plots.save(path, figure)
