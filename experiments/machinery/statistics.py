"""Means, spreads and differences of a few runs, and what may be said of them."""

import dataclasses
import math

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
# Accuracies are counts of 10,000 images. Two differences that agree to the last image
# do so by chance: they do not prove that runs have no spread.
RESOLUTION = 1e-4


@dataclasses.dataclass(frozen=True)
class Summary:
    """Mean and sample standard deviation (divided by n - 1; NaN for one run)."""

    mean: float
    std: float
    n: int


@dataclasses.dataclass(frozen=True)
class Difference:
    """Mean of paired differences with its confidence interval and p value.

    `low`, `high` and `p` are NaN for fewer than two pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


def summarize(values):
    """Returns the `Summary` of a sequence of at least one number."""
    values = np.asarray(values, np.float64)
    std = values.std(ddof=1) if len(values) > 1 else math.nan
    return Summary(float(values.mean()), float(std), len(values))


def compare(values, reference):
    """Returns the `Difference` values - reference over the seeds that both have.

    Args:
        values, reference: dicts seed -> number.
    Returns:
        The mean difference, its two-sided Student interval at `CONFIDENCE` and the
        p value of "no difference". Pairs by seed: runs of one seed see the same
        images in the same order. None without a common seed.
    """
    seeds = sorted(values.keys() & reference.keys())
    if not seeds:
        return None
    differences = np.array([values[s] - reference[s] for s in seeds], np.float64)
    mean, n = float(differences.mean()), len(seeds)
    if n < 2:
        return Difference(mean, math.nan, math.nan, math.nan, n)
    error = max(differences.std(ddof=1), RESOLUTION) / math.sqrt(n)
    reach = stats.t.ppf(0.5 + CONFIDENCE / 2, n - 1) * error
    p = 2 * stats.t.sf(abs(mean) / error, n - 1)
    return Difference(mean, mean - reach, mean + reach, float(p), n)


def holm(p_values):
    """Returns which differences hold together at 1 - `CONFIDENCE` (Holm, 1979).

    With many rows some differ by chance. Holm's step-down procedure keeps the chance
    of a single false "differs" in the whole table below 5 %.

    Args:
        p_values: dict name -> p, NaN where there is none.
    Returns:
        dict name -> bool; False for NaN.
    """
    known = sorted((p, name) for name, p in p_values.items() if not math.isnan(p))
    holds = dict.fromkeys(p_values, False)
    for i, (p, name) in enumerate(known):
        if p > (1 - CONFIDENCE) / (len(known) - i):
            break
        holds[name] = True
    return holds


def verdicts(rows, reference):
    """Compares every row with the reference row.

    Args:
        rows: dict name -> dict seed -> number.
        reference: name of a row.
    Returns:
        dict name -> (`Difference` or None, verdict), as `judge`; the reference's own
        is (None, "reference").
    """
    said = judge(
        {
            name: compare(values, rows.get(reference, {}))
            for name, values in rows.items()
            if name != reference
        }
    )
    if reference in rows:
        said[reference] = None, "reference"
    return said


def judge(differences):
    """Says what may be said of several differences at once.

    Args:
        differences: dict name -> `Difference` or None.
    Returns:
        dict name -> (`Difference` or None, verdict): "above", "below" or "undecided"
        (the interval does not settle it, or too few runs).
    """
    p_values = {name: math.nan if d is None else d.p for name, d in differences.items()}
    holds = holm(p_values)
    said = {}
    for name, difference in differences.items():
        verdict = "undecided"
        if holds[name]:
            verdict = "above" if difference.mean > 0 else "below"
        said[name] = difference, verdict
    return said


def leaders(rows):
    """Returns the row of the highest mean and the rows not shown to be below it.

    Args:
        rows: dict name -> dict seed -> number.
    Returns:
        A list of names, the highest first. One name: it is above all others.
    """
    first = max(rows, key=lambda name: np.mean(list(rows[name].values())))
    said = verdicts(rows, first)
    return [first] + [n for n in rows if n != first and said[n][1] != "below"]
