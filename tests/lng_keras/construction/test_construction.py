"""The width-3 LN-Net: exact on its samples, with the layers the theory promises."""

import sys

import keras
import numpy as np
import pytest

from lng_keras import GroupLayerNormalization, construction
from lng_keras.construction import (
    ExactLNNet,
    Fold,
    LNNetClassifier,
    plan_layers,
    verify,
)


@pytest.fixture
def float64():
    """float64 on JAX too, and only here."""
    if keras.backend.backend() != "jax":
        yield
        return
    import jax

    jax.config.update("jax_enable_x64", True)
    yield
    jax.config.update("jax_enable_x64", False)


def draw(m, classes, seed, d=5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, m)
    labels[:classes] = np.arange(classes)
    return rng.normal(size=(m, d)), labels


def alternating(m):
    return np.linspace(-1, 1, m)[:, None] ** 3 + np.linspace(0, 1, m)[
        :, None
    ], np.arange(m) % 2


@pytest.mark.parametrize(("m", "classes"), [(10, 2), (20, 2), (12, 3), (14, 10)])
def test_network_is_right_with_one_layer_for_each_merge(float64, m, classes):
    for seed in range(2):
        x, labels = draw(m, classes, seed)
        model = LNNetClassifier.from_samples(x, labels, seed, merge="points")
        assert (model.predict_labels(x) == labels).all()
        assert model.depth == m - classes + (classes > 2)
        norms = [a for a in model.layers if isinstance(a, GroupLayerNormalization)]
        assert len(norms) == model.depth
        assert all(n.input.shape == (None, 3) for n in norms)


def test_runs_need_no_more_layers_than_points(float64):
    for m, classes in ((16, 2), (14, 3)):
        x, labels = draw(m, classes, 7)
        model = LNNetClassifier.from_samples(x, labels)
        assert (model.predict_labels(x) == labels).all()
        assert model.depth < m - classes


def test_long_runs_along_a_direction_are_found(float64):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(60, 4))
    hidden = x @ rng.normal(size=4)
    separable = LNNetClassifier.from_samples(x, hidden > 0.1)
    assert separable.depth == 0
    assert (separable.predict_labels(x) == (hidden > 0.1)).all()
    x = np.sort(rng.normal(size=(50, 1)), axis=0)
    three_runs = (np.arange(50) // 17) % 2
    assert LNNetClassifier.from_samples(x, three_runs).depth == 1


def test_sixty_alternating_labels_leave_float64_room():
    x, labels = alternating(60)
    plan = plan_layers(x, labels, merge="points")
    assert len(plan.folds) == 58
    assert (plan.predict(x) == labels).all()
    assert plan.quality > 1e-8


def test_same_input_and_seed_give_the_same_network():
    x, labels = draw(12, 2, 3)
    a, b, c = (plan_layers(x, labels, seed, merge="points") for seed in (1, 1, 2))
    assert a.folds == b.folds
    assert (a.direction == b.direction).all()
    assert a.folds != c.folds


def test_duplicates_with_equal_labels_count_once(float64):
    x, labels = draw(8, 2, 5)
    doubled, both = np.concatenate([x, x[:3]]), np.concatenate([labels, labels[:3]])
    model = LNNetClassifier.from_samples(doubled, both, merge="points")
    assert model.depth == 8 - 2
    assert (model.predict_labels(doubled) == both).all()


def test_labels_may_be_strings(float64):
    x, labels = draw(9, 2, 1)
    names = np.array(["cat", "dog"])[labels]
    model = LNNetClassifier.from_samples(x, names)
    assert model.predict_labels(x).tolist() == names.tolist()


def test_saved_network_is_the_same(float64, tmp_path):
    x, labels = draw(8, 3, 2)
    model = LNNetClassifier.from_samples(x, labels, merge="points")
    model.save(tmp_path / "net.keras")
    loaded = keras.saving.load_model(tmp_path / "net.keras")
    assert loaded.classes == model.classes
    assert (loaded.predict_labels(x) == labels).all()


def test_every_labeling_of_five_points_is_realized():
    x = np.random.default_rng(0).normal(size=(5, 2))
    for code in range(1, 2**5 - 1):
        labels = (code >> np.arange(5)) & 1
        plan = plan_layers(x, labels, merge="points")
        assert len(plan.folds) == 3
        assert plan.holds("float32")
        assert (plan.predict(x) == labels).all()


def test_fold_is_what_its_formula_says():
    t = np.array([-1.0, 0.5])
    fold = Fold(slope=2.0, shift=0.25, angle=1.1)
    w = 2 * (t - 0.25)
    expected = (w * np.cos(1.1) + np.sin(1.1)) / np.sqrt(1 + w**2)
    np.testing.assert_allclose(fold(t), expected)


def test_error_bound_covers_float32():
    """What float32 loses through a whole plan stays under the tracked bound."""
    x, labels = draw(12, 2, 4)
    plan = plan_layers(x, labels, merge="points")
    t = x @ plan.direction + plan.offset
    low = t.astype(np.float32)
    error = np.ones(len(t))
    for fold in plan.folds:
        error = fold.error(t, error)
        t = fold(t)
        w = np.float32(fold.slope) * (low - np.float32(fold.shift))
        c, s = np.float32(np.cos(fold.angle)), np.float32(np.sin(fold.angle))
        low = (w * c + s) / np.sqrt(1 + w * w, dtype=np.float32)
        # The second term is the rounding of the fold's own three numbers.
        assert (np.abs(low - t) <= 4 * error * np.finfo(np.float32).eps).all()


def test_ball_arithmetic_proves_the_network_right(float64):
    pytest.importorskip("flint")
    x, labels = draw(10, 3, 6)
    model = LNNetClassifier.from_samples(x, labels, merge="points")
    proof = verify(model, x, labels)
    assert (proof.right, proof.wrong, proof.undecided) == (10, 0, 0)
    assert proof.margin > 0
    swapped = np.where(labels == 0, 1, np.where(labels == 1, 0, labels))
    assert verify(model, x, swapped).wrong == (labels < 2).sum()


def test_too_little_precision_is_said_before_building(monkeypatch):
    x, labels = draw(6, 2, 0)
    near = np.concatenate([x, x[:1] + 1e-9])
    labels = np.append(labels, 1 - labels[0])
    plan = plan_layers(near, labels, merge="points")
    assert plan.holds("float64")
    monkeypatch.setattr(construction.Plan, "weights", None)  # nothing is built
    with pytest.raises(ValueError, match='float32 cannot hold.*use dtype="float64"'):
        LNNetClassifier.from_plan(plan, near, labels, "float32")


def test_float64_refuses_what_it_cannot_hold():
    x = np.array([[0.0], [1.0], [1.0 + 2e-16], [2.0]])
    with pytest.raises(ValueError, match="float64 cannot hold|No layers were found"):
        LNNetClassifier.from_samples(x, [0, 0, 1, 0], merge="points")


@pytest.mark.parametrize(
    ("x", "labels", "message"),
    [
        ([[1.0], [2.0], [1.0]], [0, 1, 1], "samples 0 and 2 are equal and have labels"),
        ([[1.0], [2.0]], [1, 1], "Two classes or more"),
        ([[1.0], [np.nan]], [0, 1], "sample 1 is not"),
        ([[1.0], [2.0]], [0, 1, 1], r"labels of shape \(3,\)"),
    ],
)
def test_wrong_samples_are_refused_by_name(x, labels, message):
    with pytest.raises(ValueError, match=message):
        plan_layers(x, labels)


def test_exact_arithmetic_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "flint", None)
    with pytest.raises(ImportError, match=r"pip install '.*\[exact\]'"):
        ExactLNNet.from_samples(np.eye(4), [0, 1, 0, 1])
