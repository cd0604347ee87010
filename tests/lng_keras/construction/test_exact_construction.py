"""The construction beyond float64: proved right, with as many digits as it takes."""

import keras
import numpy as np
import pytest

from lng_keras.construction import ExactLNNet, LNNetClassifier, plan_layers, verify
from lng_keras.construction.samples import project

pytest.importorskip("flint")

# The second and third differ in the last bit of float64.
NEAR = np.array([[0.0], [1.0], [1.0 + 2.0**-52], [2.0]])
NEAR_LABELS = [0, 0, 1, 0]


def draw(m, classes, seed, d=5):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, m)
    labels[:classes] = np.arange(classes)
    return rng.normal(size=(m, d)), labels


@pytest.mark.parametrize(
    ("m", "classes", "merge"), [(40, 2, "points"), (30, 10, "points"), (60, 3, "runs")]
)
def test_network_is_proved_right_on_its_samples(m, classes, merge):
    x, labels = draw(m, classes, 0)
    net = ExactLNNet.from_samples(x, labels, merge=merge)
    assert net.proof[:3] == (m, 0, 0)
    assert net.proof.margin > 0
    assert (net.predict_labels(x) == labels).all()
    if merge == "points":
        assert net.depth == m - classes + (classes > 2)
    assert len(net.gaps) == net.depth + 1
    assert 0 < net.quality < net.gaps.min()


def test_samples_that_float64_cannot_hold_are_proved_right():
    with pytest.raises(ValueError, match="cannot hold.*construction.ExactLNNet"):
        LNNetClassifier.from_samples(NEAR, NEAR_LABELS, merge="points")
    for merge in ("points", "runs"):
        net = ExactLNNet.from_samples(NEAR, NEAR_LABELS, merge=merge)
        assert net.proof.right == 4
        assert net.quality < 4 * np.finfo(float).eps


def test_too_few_bits_are_doubled():
    x, labels = draw(90, 2, 0)
    net = ExactLNNet.from_samples(x, labels, merge="points", bits=64)
    assert net.bits > 64
    assert net.proof.right == 90


def test_proof_finds_wrong_labels():
    x, labels = draw(12, 2, 3)
    net = ExactLNNet.from_samples(x, labels)
    wrong = verify(net, x, 1 - labels)
    assert (wrong.right, wrong.wrong, wrong.undecided) == (0, 12, 0)


def test_border_between_classes_is_no_class():
    net = ExactLNNet.from_samples([[0.0], [2.0]], ["a", "b"])
    assert net.depth == 0
    assert net.predict_labels([[0.5], [1.5]]).tolist() == ["a", "b"]
    with pytest.raises(ValueError, match="border of two classes.*sample 1"):
        net.predict_labels([[0.0], [1.0]])


def test_exact_weights_are_those_of_the_keras_network():
    """In float32, with the same layers, an easy network is right as well."""
    x, labels = draw(8, 2, 1)
    net = ExactLNNet.from_samples(x, labels, merge="points")
    model = LNNetClassifier(5, net.depth, [0, 1], dtype="float32")
    model.set_weights([w.astype(float) for w in net.weights])
    assert (model.predict_labels(x) == labels).all()


def test_same_input_and_seed_give_the_same_weights():
    x, labels = draw(14, 2, 3)
    a, b, c = (ExactLNNet.from_samples(x, labels, s, "points") for s in (1, 1, 2))
    same = [(u == v).all() for u, v in zip(a.weights, b.weights, strict=True)]
    other = [(u == v).all() for u, v in zip(a.weights, c.weights, strict=True)]
    assert all(same)
    assert not all(other)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"labels": [0, 1, 1]}, "samples 0 and 2 are equal and have labels 0 and 1"),
        ({"merge": "pairs"}, "`merge` must be.*'pairs'"),
        ({"bits": 8}, "`bits` must be >= 64. Received: bits=8"),
    ],
)
def test_wrong_arguments_are_refused_by_name(arguments, message):
    good = dict(x=[[1.0], [2.0], [1.0]], labels=[0, 1, 0])
    with pytest.raises(ValueError, match=message):
        ExactLNNet.from_samples(**(good | arguments))


def test_precision_of_others_is_left_alone():
    from flint import ctx

    before = ctx.prec
    ExactLNNet.from_samples([[0.0], [1.0], [2.0]], [0, 1, 0])
    assert ctx.prec == before


def test_deeper_than_pythons_recursion_limit():
    model = LNNetClassifier(2, 520, [0, 1], dtype="float32")
    assert model.depth == 520
    assert keras.ops.shape(model(np.zeros((3, 2), "float32"))) == (3, 2)


@pytest.mark.parametrize("stripes", [3, 4, 6])
def test_direction_along_which_labels_take_turns_is_found(stripes):
    """Classes that take turns have equal means: least squares sees no direction."""
    rng = np.random.default_rng(stripes)
    x = rng.uniform(-1, 1, size=(300, 6))
    hidden = rng.normal(size=6)
    t = x @ hidden
    cuts = np.quantile(t, np.arange(1, stripes) / stripes)
    labels = np.searchsorted(cuts, t) % 2
    direction, _ = project(x, labels, np.random.default_rng(0), "runs")
    order = np.argsort(x @ direction)
    runs = np.count_nonzero(np.diff(labels[order])) + 1
    assert runs < 1.5 * stripes
    assert len(plan_layers(x, labels).folds) < stripes
