"""Reads an answer off the numbers, and how sure it is."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from lng_keras._base.extras import needed
from lng_keras.adopt.trainings import AS_IS, label

ADOPT, REJECT, NO_DIFFERENCE, TOO_EARLY = "adopt", "reject", "none", "early"


@dataclasses.dataclass(frozen=True)
class Verdict:
    """The answer.

    Attributes:
        kind: str, "adopt", "reject", "none" (no visible difference) or "early".
        label: str, the answer in a few words.
        headline: str, the recommendation in a sentence or two.
        sureness: str, what its certainty rests on.
        best: str, the candidate it speaks of.
    """

    kind: str
    label: str
    headline: str
    sureness: str
    best: str


def differences(
    results: Mapping[str, Sequence[Mapping[str, Any]]], reference: str = AS_IS
) -> dict[str, dict[str, Any]]:
    """Compares each candidate's accuracy with that of `reference`.

    Two things make a difference uncertain, and both are counted: which examples
    happen to be in the validation set (from the per-example differences, averaged
    over seeds) and the seeds (from their spread within each candidate, taken as equal
    for all of them, as two or three seeds of one say little). A difference is called
    visible if it is larger than `limit`: Student's quantile times the standard error,
    for 5 % over all candidates together (Bonferroni), with the degrees of freedom
    that Welch (1947) and Satterthwaite (1946) give a sum of variances. The tables of
    `experiments` judge pairs of whole runs, where only the seeds count.

    Args:
        results: dict, candidate -> list of results of `experiment.train`, the same
            seeds for each.

    Returns:
        dict, candidate -> `{"difference", "error", "limit", "visible", "accuracy",
        "spread", "seeds"}`, fractions; `spread` is the standard deviation over
        seeds, None for one seed.
    """
    rights = {
        name: np.array([run["right"] for run in runs], float)  # (seeds, examples)
        for name, runs in results.items()
    }
    base = rights[reference]
    seeds, examples = base.shape
    over_seeds = 0.0
    if seeds > 1:
        over_seeds = np.mean([right.mean(1).var(ddof=1) for right in rights.values()])
    probability = 1 - 0.025 / max(1, len(rights) - 1)
    found = {}
    for name, right in rights.items():
        per_example = (right - base).mean(0)
        difference = float(per_example.mean())
        error, quantile = _error(
            [per_example.var(ddof=1) / examples, 2 * over_seeds / seeds],
            [examples - 1, max(1, len(rights) * (seeds - 1))],
            probability,
        )
        limit = quantile * error
        found[name] = {
            "accuracy": float(right.mean()),
            "spread": float(right.mean(1).std(ddof=1)) if seeds > 1 else None,
            "difference": difference,
            "error": error,
            "limit": limit,
            "visible": bool(name != reference and abs(difference) > limit > 0),
            "seeds": seeds,
        }
    return found


def _error(variances, freedom, probability):
    """Standard error from independent variances of a mean, and its quantile."""
    stats = needed("scipy.stats", "report")
    variances, freedom = np.array(variances), np.array(freedom)
    total = variances.sum()
    if not total > 0:
        return 0.0, 0.0
    degrees = total**2 / (variances**2 / freedom).sum()
    return float(np.sqrt(total)), float(stats.t.ppf(probability, degrees))


def recommend(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    latency_ratio: Mapping[str, Mapping[int, str]],
    chance: float = 0.0,
) -> Verdict:
    """Reads the answer off the trainings.

    Args:
        results: as in `differences`.
        latency_ratio: dict, candidate -> {batch: "x1.20"}, of `answers.latency_ratios`.
        chance: accuracy of always answering the most frequent class, a fraction.

    Returns:
        `Verdict`.
    """
    found = differences(results)
    candidates = {n: f for n, f in found.items() if n != AS_IS}
    better = {
        n: f for n, f in candidates.items() if f["visible"] and f["difference"] > 0
    }
    worse = {n: f for n, f in candidates.items() if f["visible"] and n not in better}
    open_ = {n: f for n, f in candidates.items() if n not in worse}
    pool = better or open_ or worse
    best = max(pool, key=lambda n: pool[n]["difference"])
    cost = _cost(best, latency_ratio)
    sure = _sureness(found, best, len(results[AS_IS][0]["right"]))
    gain = points(found[best])
    base = found[AS_IS]["accuracy"]
    if not _learned(results[AS_IS], chance):
        text = (
            f"The model as it is reaches {100 * base:.1f} %, not clearly more than "
            f"always answering the most frequent class ({100 * chance:.1f} %). Give "
            "more epochs or a trained model."
        )
        if better:
            text += f" In this short training {label(best)} is ahead by {gain}{cost}."
        return Verdict(TOO_EARLY, "Too little training to tell", text, sure, best)
    if better:
        first = label(best)
        text = f"{first[0].upper()}{first[1:]}: {gain} of validation accuracy{cost}."
        rivals = _rivals(results, best, better)
        if rivals:
            text += f" It cannot be told from {_sizes(rivals)}."
        return Verdict(ADOPT, f"Adopt LN-G with {first}", text, sure, best)
    if not open_:
        text = (
            "Every group size tried is visibly worse after the same training; the "
            f"least bad is {best} with {gain}{cost}."
        )
        return Verdict(REJECT, "Do not adopt LN-G here as it is", text, sure, best)
    text = (
        "No reason to switch yet: the model's own normalization and LN-G"
        + (f" with {_sizes(open_)}" if worse else "")
        + f" cannot be told apart; the closest call is {label(best)} with "
        f"{gain}{cost}. More seeds, epochs or validation examples would tell."
    )
    return Verdict(NO_DIFFERENCE, "No difference is visible", text, sure, best)


def _learned(runs, chance):
    """Whether a model is clearly above `chance`, by two standard errors."""
    right = np.array([run["right"] for run in runs], float)
    base = right.mean()
    return base > chance + 2 * np.sqrt(base * (1 - base) / right.shape[1])


def _rivals(results, best, better):
    against = differences(results, best)
    return [n for n in better if n != best and not against[n]["visible"]]


def _sizes(names):
    *first, last = names
    if not first:
        return label(last)
    kind = "group sizes " if last.isdigit() else ""
    separator = ", " if last.isdigit() else "; "
    return f"{kind}{separator.join(first)} and {last}"


def _sureness(found, best, examples):
    seeds = found[AS_IS]["seeds"]
    f = found[best]
    all_ = "sizes" if best.isdigit() else "candidates"
    text = (
        f"{examples:,} validation examples, {seeds} seed{'s' if seeds > 1 else ''} "
        f"each. For {label(best)} a difference counts as visible beyond "
        f"{100 * f['limit']:.1f} points (5 % over all {all_} together, from the "
        "examples"
    )
    if seeds == 1:
        return text + " alone: one seed has no spread)."
    return text + " and the spread over seeds)."


def points(f: Mapping[str, Any]) -> str:
    """A difference in percentage points, with its standard error."""
    return f"{100 * f['difference']:+.1f} ± {100 * f['error']:.1f} points"


def _cost(name, latency_ratio):
    ratios = latency_ratio.get(name)
    if not ratios:
        return ""
    parts = (f"{ratio} at batch {batch}" for batch, ratio in ratios.items())
    return f"; latency {' and '.join(parts)}"
