"""Experiment 1: how much LN-G amplifies H, by the number of groups."""

import pathlib

import numpy as np

from lng_keras.measures import (
    amplification_bound,
    hessian_nonlinearity_estimate,
    normalization_nonlinearity,
)
from tables.theory import files

WIDTHS = {"smoke": (64,), "cpu": (64, 256, 1024, 4096), "full": (64, 256, 1024, 4096)}
_CLOSED_SAMPLES = 1000
_EPSILON = 1e-5  # of the measured layers


def run(budget, seeds, output):
    """Writes `amplification.csv` and `.png`. Ratios are those of E H over Gaussian x.

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
    _plot(rows, pathlib.Path(output) / "amplification.png")
    return rows


def _measure(x, groups, draws):
    from lng_keras import GroupLayerNormalization

    layer = GroupLayerNormalization(groups=groups, epsilon=_EPSILON)
    return hessian_nonlinearity_estimate(layer, x, num_samples=draws)


def _plot(rows, path):
    plt = files.pyplot()
    figure, axes = plt.subplots(figsize=(7, 4.4))
    for color, d in enumerate(sorted({r["d"] for r in rows})):
        own = [r for r in rows if r["d"] == d and r["bound"] > 0]
        groups = [r["groups"] for r in own]
        style = dict(color=f"C{color}")
        axes.plot(groups, [r["bound"] for r in own], "--", **style)
        axes.plot(groups, [r["closed_form_median"] for r in own], label=f"{d}", **style)
        axes.errorbar(
            groups,
            [r["measured_at_4_points"] for r in own],
            [r["measured_standard_error"] for r in own],
            fmt="o",
            markersize=4,
            **style,
        )
        peak = max(own, key=lambda r: r["bound"])
        axes.annotate(
            "g = d/4",
            (peak["groups"], peak["bound"]),
            xytext=(4, -12),
            textcoords="offset points",
            fontsize=8,
        )
    axes.axhline(1, color="0.6", linewidth=0.8)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("groups g")
    axes.set_ylabel("H(LN-G) / H(LN)")
    axes.set_title(
        "dots: measured at 4 Gaussian points; lines: closed form, median;\n"
        "dashes: the bound g (d - 2g) / (d - 2)",
        fontsize=10,
    )
    axes.legend(title="channels d")
    files.save_figure(figure, path)
