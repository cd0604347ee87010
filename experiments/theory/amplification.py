"""Experiment 1: how much LN-G amplifies H, by the number of groups."""

import pathlib

import numpy as np

from experiments.machinery import files, plots
from lng_keras.measures import (
    amplification_bound,
    hessian_nonlinearity,
    hessian_nonlinearity_estimate,
    normalization_nonlinearity,
)

WIDTHS = {"smoke": (64,), "cpu": (64, 256, 1024, 4096), "full": (64, 256, 1024, 4096)}
_CLOSED_SAMPLES = 1000
_EPSILON = 1e-5  # of the measured layers
_TIGHT_WIDTH = 96  # with groups of 3 and of 4 among its divisors


def run(budget, seeds, output):
    """Writes `amplification.csv`, `amplification_tight.csv` and `amplification.png`.

    The ratio of one x has heavy tails for groups of 3 and 4 (1 / sigma_k^4 of few
    numbers), so the table has the median over x of the closed form, and the measured
    ratio at single points beside the closed form at the same points.
    """
    draws = 32 if budget == "smoke" else 256
    rows = []
    for d in WIDTHS[budget]:
        rng = np.random.default_rng(d)
        x = rng.normal(size=(_CLOSED_SAMPLES, d))
        whole = normalization_nonlinearity(x)
        point = x[:4].astype("float32")
        base = _measure(point, 1, draws)
        for g in (2**k for k in range(int(np.log2(d)))):
            ratio = normalization_nonlinearity(x, g) / whole
            measured = _measure(point, g, draws)
            at_point = normalization_nonlinearity(
                point, g, _EPSILON
            ) / normalization_nonlinearity(point, 1, _EPSILON)
            quotient = measured.value / base.value
            relative = np.hypot(
                measured.standard_error / np.maximum(measured.value, 1e-30),
                base.standard_error / base.value,
            )
            rows.append(
                dict(
                    d=d,
                    groups=g,
                    bound=amplification_bound(d, g),
                    closed_form_median=float(np.median(ratio)),
                    closed_form_lowest=float(ratio.min()),
                    samples=_CLOSED_SAMPLES,
                    closed_form_at_4_points=float(at_point.mean()),
                    measured_at_4_points=float(quotient.mean()),
                    measured_standard_error=float(
                        np.sqrt(np.square(quotient * relative).sum()) / 4
                    ),
                    direction_pairs=draws,
                )
            )
        files.write_csv(pathlib.Path(output) / "amplification.csv", rows)
    tight_rows = tight(pathlib.Path(output))
    _plot(rows, tight_rows, pathlib.Path(output) / "amplification.png")
    return rows


def tight(output):
    """The ratio where the bound is reached: groups with one mean and one variance."""
    d, rows = _TIGHT_WIDTH, []
    for g in (g for g in range(1, d // 3 + 1) if d % g == 0):
        x = np.random.default_rng(d).normal(size=(1, g, d // g))
        x = (x - x.mean(axis=-1, keepdims=True)) / x.std(axis=-1, keepdims=True)
        x = x.reshape(1, d).astype("float32")
        base = _exact(x, 1)
        rows.append(
            dict(
                d=d,
                groups=g,
                bound=amplification_bound(d, g),
                measured=float(_exact(x, g) / base),
            )
        )
    files.write_csv(output / "amplification_tight.csv", rows)
    return rows


def _exact(x, groups):
    from lng_keras import GroupLayerNormalization

    layer = GroupLayerNormalization(groups=groups, epsilon=1e-12)
    return hessian_nonlinearity(layer, x)[0]


def _measure(x, groups, draws):
    from lng_keras import GroupLayerNormalization

    layer = GroupLayerNormalization(groups=groups, epsilon=_EPSILON)
    return hessian_nonlinearity_estimate(layer, x, num_samples=draws)


def _plot(rows, tight_rows, path):
    figure = plots.figure(12, 4.6)
    axes, peak = figure.subplots(1, 2)
    for color, d in enumerate(sorted({r["d"] for r in rows})):
        own = [r for r in rows if r["d"] == d and r["bound"] > 0]
        groups = [r["groups"] for r in own]
        style = dict(color=f"C{color}")
        smooth = np.geomspace(1, 0.495 * d, 300)
        axes.plot(smooth, smooth * (d - 2 * smooth) / (d - 2), "--", **style)
        axes.plot(groups, [r["closed_form_median"] for r in own], label=f"{d}", **style)
        axes.errorbar(
            groups,
            [r["measured_at_4_points"] for r in own],
            [r["measured_standard_error"] for r in own],
            fmt="o",
            markersize=4,
            **style,
        )
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_ylim(bottom=0.5)
    axes.set_xlabel("groups g")
    axes.set_ylabel("H(LN-G) / H(LN)")
    axes.set_title(
        "Gaussian x. Dots: measured at 4 points; lines: closed form,\n"
        "median; dashes: the bound g (d - 2g) / (d - 2)",
        fontsize=10,
    )
    axes.legend(title="channels d")
    d = tight_rows[0]["d"]
    smooth = np.linspace(0.5, d / 2, 300)
    peak.plot(smooth, smooth * (d - 2 * smooth) / (d - 2), "k--", label="bound")
    groups = [r["groups"] for r in tight_rows]
    peak.plot(groups, [r["measured"] for r in tight_rows], "o", label="measured, exact")
    for fraction in (4, 3):
        peak.axvline(d / fraction, color="0.8", linewidth=0.8, zorder=0)
        peak.annotate(
            f"d/{fraction}",
            (d / fraction, 0.3),
            xytext=(3, 0),
            textcoords="offset points",
            fontsize=8,
        )
    peak.axhline(1, color="0.6", linewidth=0.8)
    peak.set_ylim(0, None)
    peak.set_xlabel("groups g")
    peak.set_title(
        f"d = {d}, all groups with one mean and variance:\n"
        "the bound is reached, and largest at g = d/4",
        fontsize=10,
    )
    peak.legend(loc="upper left")
    plots.save(path, figure)
