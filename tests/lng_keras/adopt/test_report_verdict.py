"""The report's verdict: when a difference is called one, and what is recommended."""

import pytest

from lng_keras.adopt import verdict

pytestmark = pytest.mark.once(reason="computes with NumPy")


def results(base, other):
    """One result a seed from fractions of 1,000 examples that are right."""

    def runs(fractions):
        return [{"right": [1] * int(1000 * f) + [0] * int(1000 - 1000 * f)}
                for f in fractions]  # fmt: skip

    return {"as it is": runs(base), "8": runs(other)}


def test_a_clear_gain_is_recommended_and_noise_is_not():
    clear = results([0.5, 0.5], [0.6, 0.6])
    found = verdict.differences(clear)
    assert found["8"]["visible"]
    assert found["8"]["difference"] == pytest.approx(0.1)
    said = verdict.recommend(clear, {"8": {1: "x1.25"}})
    assert (said.kind, said.label) == ("adopt", "Adopt LN-G with group size 8")
    assert said.headline.startswith("Group size 8: +10.0")
    assert "x1.25 at batch 1" in said.headline
    # The same mean, but the seeds disagree.
    noisy = results([0.5, 0.5], [0.4, 0.8])
    assert not verdict.differences(noisy)["8"]["visible"]
    assert verdict.recommend(noisy, {}).kind == "none"
    assert verdict.recommend(results([0.5, 0.5], [0.4, 0.4]), {}).kind == "reject"


def test_two_seeds_need_a_larger_difference_than_many():
    def limit(seeds):
        spread = [0.5, 0.52] * (seeds // 2)
        found = verdict.differences(results(spread, spread[::-1]))["8"]
        return found["limit"] / found["error"]

    # Of two seeds and two models the spread has 2 degrees of freedom, whose quantile
    # is 4.3 instead of 1.96.
    assert limit(2) == pytest.approx(4.303, abs=1e-3)
    assert 1.96 < limit(20) < 2.1


def test_sizes_that_cannot_be_told_apart_are_said():
    three = results([0.5, 0.5], [0.6, 0.6])
    three["16"] = results([0.5], [0.605, 0.605])["8"]
    assert (
        "It cannot be told from group size 8." in verdict.recommend(three, {}).headline
    )
    three["16"] = results([0.5], [0.8, 0.8])["8"]
    assert "cannot be told" not in verdict.recommend(three, {}).headline


def test_a_model_that_has_not_learned_is_no_reason_to_adopt():
    early = results([0.11, 0.11], [0.2, 0.2])
    assert verdict.differences(early)["8"]["visible"]
    said = verdict.recommend(early, {}, chance=0.1)
    assert (said.kind, said.label) == ("early", "Too little training to tell")
    assert "ahead by +9.0" in said.headline
    assert verdict.recommend(early, {}, chance=0.05).kind == "adopt"


def test_equal_models_are_not_different():
    equal = results([0.5], [0.5])
    found = verdict.differences(equal)
    assert found["8"]["difference"] == 0
    assert not found["8"]["visible"]
    assert "one seed has no spread" in verdict.recommend(equal, {}).sureness
