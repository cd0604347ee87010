"""Reads an answer off the numbers, and how sure it is."""

import statistics

import numpy as np

from lng_keras.report.experiment import AS_IS


def differences(results):
    """Compares each candidate's accuracy with the model as it is.

    Two things make a difference uncertain, and both are counted: which examples
    happen to be in the validation set (from the per-example differences, averaged
    over seeds) and the seeds (from their spread). A difference is called visible if
    it is larger than `z` standard errors, with `z` for 5 % over all candidates
    together (Bonferroni).

    Args:
        results: dict, candidate -> list of results of `experiment.train`, the same
            seeds for each.

    Returns:
        dict, candidate -> `{"difference", "error", "z", "visible", "accuracy",
        "spread", "seeds"}`, fractions; `spread` is the standard deviation over
        seeds, None for one seed.
    """
    candidates = [name for name in results if name != AS_IS]
    z = statistics.NormalDist().inv_cdf(1 - 0.025 / max(1, len(candidates)))
    base = np.array([run["right"] for run in results[AS_IS]], float)
    found = {}
    for name, runs in results.items():
        right = np.array([run["right"] for run in runs], float)  # (seeds, examples)
        paired = right - base
        per_example = paired.mean(0)
        per_seed = paired.mean(1)
        error = per_example.std(ddof=1) / np.sqrt(per_example.size)
        if len(per_seed) > 1:
            error = np.hypot(error, per_seed.std(ddof=1) / np.sqrt(len(per_seed)))
        difference = float(per_seed.mean())
        found[name] = {
            "accuracy": float(right.mean()),
            "spread": float(right.mean(1).std(ddof=1)) if len(runs) > 1 else None,
            "difference": difference,
            "error": float(error),
            "z": z,
            "visible": bool(name != AS_IS and abs(difference) > z * error > 0),
            "seeds": len(runs),
        }
    return found


def recommend(found, latency_ratio, chance=0.0, examples=None):
    """Returns `(headline, sureness)`, two sentences.

    Args:
        found: of `differences`.
        latency_ratio: dict, candidate -> {batch: "x1.20"}, of `render.latency_ratios`.
        chance: accuracy of always answering the most frequent class, a fraction.
        examples: int, validation examples.
    """
    candidates = {n: f for n, f in found.items() if n != AS_IS}
    better = {
        n: f for n, f in candidates.items() if f["visible"] and f["difference"] > 0
    }
    worse = {
        n: f for n, f in candidates.items() if f["visible"] and f["difference"] < 0
    }
    seeds = found[AS_IS]["seeds"]
    sure = (
        f"{seeds} seed{'s' if seeds > 1 else ''} each; a difference counts as visible "
        f"beyond {next(iter(found.values()))['z']:.1f} standard errors, from the "
        "validation examples"
        + (" and the spread over seeds." if seeds > 1 else " alone: one seed has none.")
    )
    base = found[AS_IS]["accuracy"]
    noise = np.sqrt(base * (1 - base) / examples) if examples else 0.0
    if base <= chance + 2 * noise:
        text = (
            f"Too little training to tell: the model as it is reaches "
            f"{100 * base:.1f} %, not clearly more than always answering the most "
            f"frequent class ({100 * chance:.1f} %). Give more epochs or a trained "
            "model."
        )
        if better:
            best = max(better, key=lambda n: better[n]["difference"])
            text += (
                f" In this short training group size {best} is ahead by "
                f"{points(better[best])}{_cost(best, latency_ratio)}."
            )
    elif better:
        best = max(better, key=lambda n: better[n]["difference"])
        f = better[best]
        text = (
            f"Adopt LN-G with group size {best}: {points(f)} of validation accuracy"
            f"{_cost(best, latency_ratio)}."
        )
        if len(better) > 1:
            text += f" {len(better)} of {len(candidates)} sizes are visibly better."
    elif len(worse) == len(candidates):
        text = (
            "Do not adopt LN-G here as it is: every group size tried is visibly worse "
            "after the same training."
        )
    else:
        close = {n: f for n, f in candidates.items() if n not in worse}
        best = max(close, key=lambda n: close[n]["difference"])
        text = (
            "No difference is visible between the model's own normalization and LN-G"
            + (f" with group size {', '.join(close)}" if worse else "")
            + f"; the closest call is group size {best} with {points(close[best])}"
            f"{_cost(best, latency_ratio)}. More seeds, epochs or validation examples "
            "would tell."
        )
    return text, sure


def points(f):
    """A difference in percentage points, with its standard error."""
    return f"{100 * f['difference']:+.1f} ± {100 * f['error']:.1f} points"


def _cost(name, latency_ratio):
    ratios = latency_ratio.get(name)
    if not ratios:
        return ""
    parts = (f"{ratio} at batch {batch}" for batch, ratio in ratios.items())
    return f"; latency {' and '.join(parts)}"
