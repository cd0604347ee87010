"""What may be said of a few runs: spreads, intervals, verdicts."""

import math

import numpy as np
import pytest

from experiments.machinery import statistics

pytestmark = pytest.mark.once(reason="computes with NumPy")


def test_summary_is_the_sample_standard_deviation():
    summary = statistics.summarize([1.0, 2.0, 4.0])
    assert summary.mean == pytest.approx(7 / 3)
    assert summary.std == pytest.approx(math.sqrt(7 / 3))
    assert math.isnan(statistics.summarize([1.0]).std)


def test_difference_has_the_students_interval_of_paired_runs():
    reference = {0: 0.30, 1: 0.40, 2: 0.50}
    values = {0: 0.31, 1: 0.42, 2: 0.53, 7: 0.9}  # seed 7 has no partner
    found = statistics.compare(values, reference)
    # Differences 0.01, 0.02, 0.03; t(0.975, 2) = 4.3027 from a printed table.
    reach = 4.3027 * 0.01 / math.sqrt(3)
    assert found.n == 3
    assert found.mean == pytest.approx(0.02)
    assert found.low == pytest.approx(0.02 - reach, rel=1e-4)
    assert found.high == pytest.approx(0.02 + reach, rel=1e-4)
    assert found.p == pytest.approx(0.0742, abs=1e-4)  # t = 3.4641, 2 degrees
    assert statistics.compare({0: 1.0}, {1: 1.0}) is None
    assert math.isnan(statistics.compare({0: 1.0}, {0: 0.5}).low)


def test_differences_that_agree_by_chance_are_not_certain():
    found = statistics.compare({0: 0.5013, 1: 0.5113}, {0: 0.50, 1: 0.51})
    # As if they differed by one of 10,000 images; t(0.975, 1) = 12.706.
    assert found.high - found.mean == pytest.approx(12.706e-4 / math.sqrt(2), rel=1e-3)
    rows = {"a": {0: 0.5, 1: 0.51}, "b": {0: 0.5013, 1: 0.5113}, "c": {0: 0.4, 1: 0.4}}
    assert statistics.verdicts(rows, "a")["b"][1] == "undecided"
    same = statistics.compare({0: 0.5, 1: 0.4}, {0: 0.5, 1: 0.4})
    assert (same.mean, same.p) == (0, 1)


def test_holm_is_stricter_than_each_test_alone():
    p_values = {"a": 0.01, "b": 0.04, "c": 0.03, "d": math.nan}
    # 0.01 <= 0.05 / 3, but 0.03 > 0.05 / 2, and then 0.04 is not asked any more.
    assert statistics.holm(p_values) == {"a": True, "b": False, "c": False, "d": False}
    # And milder than 0.05 / 3 for all: what is left is shared by fewer.
    all_hold = statistics.holm({"a": 0.01, "b": 0.02, "c": 0.04})
    assert all_hold == {"a": True, "b": True, "c": True}


def test_no_winner_is_named_inside_the_noise():
    rng = np.random.default_rng(0)
    noise = {n: dict(enumerate(rng.normal(0.5, 0.01, 3))) for n in "abcde"}
    assert len(statistics.leaders(noise)) == 5
    assert {v for _, v in statistics.verdicts(noise, "a").values()} == {
        "reference",
        "undecided",
    }
    single = {"a": {0: 0.1}, "b": {0: 0.9}}
    assert statistics.verdicts(single, "a")["b"][1] == "undecided"
    clear = {**noise, "f": {s: v + 0.2 for s, v in noise["a"].items()}}
    assert statistics.verdicts(clear, "a")["f"][1] == "above"
    assert statistics.verdicts(clear, "f")["a"][1] == "below"
