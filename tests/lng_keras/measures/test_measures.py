"""H and the separability measures, against finite differences and linear algebra."""

import keras
import numpy as np
import pytest

from lng_keras import GroupLayerNormalization, measures
from lng_keras.measures import (
    amplification_bound,
    hessian_nonlinearity,
    hessian_nonlinearity_estimate,
    linear_sum_of_squares_ratio,
    normalization_nonlinearity,
    sum_of_squares_ratio,
)


def rng(seed=0):
    return np.random.default_rng(seed)


def group_normalize(x, groups, epsilon=0.0):
    z = x.reshape(len(x), groups, -1)
    z = z - z.mean(-1, keepdims=True)
    return (z / np.sqrt(z.var(-1, keepdims=True) + epsilon)).reshape(x.shape)


def finite_difference_h(f, x, step=2e-3):
    """Central differences of float64 values, error of the order step^2."""
    d = x.shape[1]
    e = step * np.eye(d)
    total = np.zeros(len(x))
    for i in range(d):
        for j in range(d):
            second = (
                f(x + e[i] + e[j])
                - f(x + e[i] - e[j])
                - f(x - e[i] + e[j])
                + f(x - e[i] - e[j])
            ) / (4 * step**2)
            total += np.square(second).sum(axis=1)
    return total


@pytest.mark.parametrize(("d", "groups"), [(6, 1), (6, 2), (8, 4)])
def test_exact_h_is_the_closed_form_and_finite_differences(d, groups):
    x = rng().normal(size=(3, d)) * 2 + 1
    layer = GroupLayerNormalization(groups=groups, epsilon=0.1)
    closed = normalization_nonlinearity(x, groups, epsilon=0.1)
    exact = hessian_nonlinearity(layer, x.astype("float32"))
    np.testing.assert_allclose(exact, closed, rtol=1e-4, atol=1e-8)
    differences = finite_difference_h(lambda x: group_normalize(x, groups, 0.1), x)
    np.testing.assert_allclose(differences, closed, rtol=1e-3, atol=1e-6)


def test_closed_form_without_epsilon_is_the_one_of_the_paper_s_condition():
    x = rng().normal(size=(5, 12))
    sigma = x.reshape(5, 3, 4).std(-1)
    expected = 3 * (1 - 2 * 3 / 12) * (sigma**-4.0).sum(-1)
    np.testing.assert_allclose(normalization_nonlinearity(x, 3), expected)


def test_h_of_a_composed_model_matches_finite_differences():
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, activation="silu"),
            keras.layers.LayerNormalization(epsilon=0.1),
            keras.layers.Dense(3, activation="tanh"),
        ]
    )
    w1, b1, gamma, beta, w2, b2 = [w.astype("float64") for w in model.get_weights()]

    def f(x):
        z = x @ w1 + b1
        z = group_normalize(z / (1 + np.exp(-z)), 1, 0.1) * gamma + beta
        return np.tanh(z @ w2 + b2)

    x = rng().normal(size=(3, 4))
    exact = hessian_nonlinearity(model, x.astype("float32"))
    np.testing.assert_allclose(exact, finite_difference_h(f, x), rtol=1e-3)


def test_h_of_a_function_does_not_depend_on_the_batch_size():
    x = rng().normal(size=(3, 4)).astype("float32")

    def f(x):
        return keras.ops.sin(x) * x[:, :1]

    one = hessian_nonlinearity(f, x, batch_size=7)
    np.testing.assert_allclose(one, hessian_nonlinearity(f, x), rtol=1e-6)


def test_h_works_through_attention_and_convolution():
    keras.utils.set_random_seed(2)
    tokens = keras.Input((3, 4))
    y = keras.layers.MultiHeadAttention(2, 2)(tokens, tokens)
    attention = keras.Model(tokens, y)
    image = keras.Input((3, 3, 2))
    y = keras.layers.Conv2D(4, 2, activation="gelu")(image)
    y = GroupLayerNormalization(group_size=4)(keras.layers.BatchNormalization()(y))
    convolution = keras.Model(image, keras.layers.Flatten()(y))
    for model in (attention, convolution):
        x = rng().normal(size=(2, *model.input.shape[1:])).astype("float32")
        exact = hessian_nonlinearity(model, x)
        value, error = hessian_nonlinearity_estimate(model, x, num_samples=400)
        assert (exact > 1e-6).all()
        assert (np.abs(value - exact) < 5 * error).all()


def test_h_of_linear_models_is_zero():
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(5), keras.layers.Dense(2)]
    )
    x = rng().normal(size=(3, 4)).astype("float32")
    assert not hessian_nonlinearity(model, x).any()
    assert not hessian_nonlinearity_estimate(model, x, num_samples=4).value.any()


def test_estimate_in_thousands_of_dimensions_agrees_within_its_standard_error():
    x = rng().normal(size=(2, 2048)).astype("float32")
    layer = keras.layers.LayerNormalization(epsilon=1e-5)
    value, error = hessian_nonlinearity_estimate(layer, x, num_samples=128)
    closed = normalization_nonlinearity(x, 1, epsilon=1e-5)
    assert (np.abs(value - closed) < 4 * error).all()
    assert (error < np.sqrt(8 / 128) * 1.5 * closed).all()


def test_estimate_repeats_with_its_seed_whatever_the_batch_size():
    x = rng().normal(size=(2, 6)).astype("float32")
    layer = GroupLayerNormalization(groups=2)
    a = hessian_nonlinearity_estimate(layer, x, num_samples=6, seed=3, batch_size=5)
    b = hessian_nonlinearity_estimate(layer, x, num_samples=6, seed=3)
    c = hessian_nonlinearity_estimate(layer, x, num_samples=6, seed=4)
    np.testing.assert_allclose(a.value, b.value, rtol=1e-5)
    assert not np.allclose(a.value, c.value, rtol=1e-3)


def test_bound_is_never_violated():
    for d in (9, 12, 64):
        x = rng(d).standard_t(3, size=(2000, d)) * rng(d).uniform(0.1, 9, size=d)
        for groups in (g for g in range(1, d // 2 + 1) if d % g == 0):
            ratio = normalization_nonlinearity(x, groups) / normalization_nonlinearity(
                x
            )
            assert (ratio >= amplification_bound(d, groups) * (1 - 1e-12)).all()


def test_bound_is_tight_for_equal_groups_and_crosses_one_at_a_third():
    x = np.tile(rng().normal(size=(5, 4)), 6)
    ratio = normalization_nonlinearity(x, 6) / normalization_nonlinearity(x)
    np.testing.assert_allclose(ratio, amplification_bound(24, 6))
    groups = [g for g in range(1, 13) if 24 % g == 0]
    bounds = amplification_bound(24, np.array(groups))
    assert [b >= 1 for b in bounds] == [g <= 24 / 3 for g in groups]
    assert groups[np.argmax(bounds)] == 24 // 4


def test_closed_form_of_degenerate_groups():
    constant = np.full((1, 6), 1e6)
    assert np.isinf(normalization_nonlinearity(constant, 2)).all()
    assert (normalization_nonlinearity(constant, 2, epsilon=1e-5) == 0).all()
    pairs = rng().normal(size=(4, 6))
    np.testing.assert_allclose(normalization_nonlinearity(pairs, 3), 0, atol=1e-12)


def test_ssr_is_one_for_equal_means_and_zero_for_points():
    xor = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]])
    assert sum_of_squares_ratio(xor, [0, 0, 1, 1]) == 1
    assert linear_sum_of_squares_ratio(xor, [0, 0, 1, 1]) == 1
    assert sum_of_squares_ratio([[0.0], [0.0], [2.0]], ["a", "a", "b"]) == 0
    assert sum_of_squares_ratio(np.full((4, 3), 7.0), [0, 1, 0, 1]) == 1
    assert linear_sum_of_squares_ratio(np.full((4, 3), 0.1), [0, 1, 0, 1]) == 1


def test_one_layer_of_three_neurons_takes_xor_from_one_to_zero():
    x = np.array([[1, 1], [-1, -1], [1, -1], [-1, 1]], np.float32)
    labels = [0, 0, 1, 1]
    layer = GroupLayerNormalization(groups=1, epsilon=1e-12, center=False, scale=False)
    # u + v = 0 for one class: see examples/xor.py for how the map is found.
    p = np.array([[1, -1, 0], [1, 1, -2]]) / np.sqrt([[2], [6]])
    h = np.outer(x.sum(axis=1), p[0]) + p[1]
    assert linear_sum_of_squares_ratio(x, labels) == 1
    assert linear_sum_of_squares_ratio(h, labels) == pytest.approx(1)
    out = keras.ops.convert_to_numpy(layer(h.astype("float32")))
    assert linear_sum_of_squares_ratio(out, labels) < 1e-6


def test_lssr_of_two_classes_is_one_minus_r_squared():
    x = rng().normal(size=(40, 5)) + 1e3
    labels = rng(1).integers(0, 2, 40)
    a = np.column_stack([x, np.ones(40)])
    residual = labels - a @ np.linalg.lstsq(a, labels, rcond=None)[0]
    r_squared = 1 - residual.var() / labels.var()
    assert linear_sum_of_squares_ratio(x, labels) == pytest.approx(1 - r_squared)


def test_lssr_is_the_smallest_generalized_eigenvalue():
    x = rng().normal(size=(60, 4)) @ rng(1).normal(size=(4, 4))
    labels = rng(2).integers(0, 3, 60)
    x[labels == 2] += 1
    within = sum(
        np.cov(x[labels == k].T, bias=True) * (labels == k).sum() for k in range(3)
    )
    total = np.cov(x.T, bias=True) * 60
    eigenvalues = np.linalg.eigvals(np.linalg.solve(total, within))
    assert linear_sum_of_squares_ratio(x, labels) == pytest.approx(
        eigenvalues.real.min()
    )


def test_lssr_is_invariant_under_invertible_affine_maps():
    x = rng().normal(size=(50, 6))
    labels = rng(1).integers(0, 4, 50)
    q, _ = np.linalg.qr(rng(2).normal(size=(6, 6)))
    a = q * np.geomspace(1, 1e6, 6) @ q.T[::-1]
    expected = linear_sum_of_squares_ratio(x, labels)
    mapped = linear_sum_of_squares_ratio(x @ a + 1e3, labels)
    assert mapped == pytest.approx(expected, rel=1e-6)
    assert linear_sum_of_squares_ratio(x[:, :3], labels) >= expected
    assert expected <= sum_of_squares_ratio(x, labels)


def test_lssr_of_rank_deficient_float32_data_ignores_rounding():
    x = rng().normal(size=(400, 5)).astype("float32")
    labels = rng(1).integers(0, 3, 400)
    expected = linear_sum_of_squares_ratio(x, labels)
    wide = x @ rng(2).normal(size=(5, 40)).astype("float32") + np.float32(3)
    wide = np.concatenate([wide, wide[:, :2], np.zeros((400, 3), "float32")], axis=1)
    assert linear_sum_of_squares_ratio(wide, labels) == pytest.approx(
        expected, rel=1e-3
    )
    more_features_than_samples = rng().normal(size=(10, 30))
    assert (
        linear_sum_of_squares_ratio(more_features_than_samples, np.arange(10) % 2)
        < 1e-12
    )


def test_least_squares_accuracy_is_that_of_lstsq():
    x = rng().normal(size=(80, 7)) + 10
    labels = rng(1).integers(0, 4, 80)
    a = np.column_stack([x, np.ones(80)])
    outputs = a @ np.linalg.lstsq(a, np.eye(4)[labels], rcond=None)[0]
    expected = (outputs.argmax(1) == labels).mean()
    assert measures.least_squares_accuracy(x, labels) == expected


def test_profile_finds_the_normalizations():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((24,))
    y = keras.layers.Dense(24, name="linear")(inputs)
    y = keras.layers.LayerNormalization(name="ln")(y)
    y = GroupLayerNormalization(group_size=4, name="lng")(y)
    y = keras.layers.Add(name="add")([y, inputs])
    model = keras.Model(inputs, keras.layers.Dense(3, name="head")(y))
    x = rng().normal(size=(60, 24)).astype("float32")
    profile = measures.profile_nonlinearity(
        model, x, labels=rng(1).integers(0, 2, 60), num_points=24, num_samples=64
    )
    rows = {r.name: r for r in profile.rows}
    assert list(rows) == ["linear", "ln", "lng", "add", "head"]
    assert rows["linear"].nonlinearity == rows["add"].nonlinearity == 0
    # 3 / d: the layer adds 1e-3 to a variance of about 1.
    assert rows["ln"].nonlinearity == pytest.approx(3 / 24, rel=0.1)
    assert rows["lng"].nonlinearity > 3 / 4
    assert rows["linear"].lssr == pytest.approx(
        linear_sum_of_squares_ratio(x, rng(1).integers(0, 2, 60)), rel=1e-3
    )
    assert "| lng | GroupLayerNormalization | 24 | 24 |" in str(profile)


def test_profile_calls_layers_as_the_model_does():
    keras.utils.set_random_seed(4)
    x = rng().normal(size=(4, 3, 4)).astype("float32")
    inputs = keras.Input((3, 4))
    y = keras.layers.MultiHeadAttention(2, 2)(inputs, value=inputs)
    model = keras.Model(inputs, y)
    (row,) = measures.profile_nonlinearity(model, x, num_samples=400).rows
    # The tensor is two arguments of the layer, and one input.
    assert row.inputs == 12
    assert row.h == pytest.approx(hessian_nonlinearity(model, x).mean(), rel=0.1)
    y = keras.layers.MultiHeadAttention(2, 2)(inputs, value=keras.ops.sin(inputs))
    (row,) = measures.profile_nonlinearity(keras.Model(inputs, y), x).rows
    assert row.inputs == 2 * 12
    assert row.nonlinearity > 0


def test_profile_writes_a_table_and_a_picture(tmp_path):
    pytest.importorskip("matplotlib")
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3, name="only")])
    profile = measures.profile_nonlinearity(
        model, rng().normal(size=(9, 3)), np.arange(9) % 2
    )
    profile.to_csv(tmp_path / "profile.csv")
    profile.plot().savefig(tmp_path / "profile.png")
    header, line = (tmp_path / "profile.csv").read_text().splitlines()
    assert header.startswith("name,kind,inputs,outputs,h,nonlinearity")
    assert line.startswith("only,Dense,3,3,0.0,0.0")
    assert (tmp_path / "profile.png").stat().st_size > 1000


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: amplification_bound(12, 5), "groups=5, 12 channels"),
        (lambda: amplification_bound(2, 1), "fewer than 3 channels. Received: d=2"),
        (
            lambda: normalization_nonlinearity(np.ones((2, 4)), 4),
            "group of one channel",
        ),
        (lambda: normalization_nonlinearity(np.ones((2, 4)), 1, -1.0), "epsilon=-1.0"),
        (lambda: hessian_nonlinearity(3, np.ones((2, 4))), "Received: 3"),
        (lambda: hessian_nonlinearity(abs, np.ones(4)), r"Received: x of shape \(4,\)"),
        (lambda: hessian_nonlinearity(lambda x: (x, x), np.ones((2, 2))), "one tensor"),
        (
            lambda: hessian_nonlinearity_estimate(abs, np.ones((2, 2)), 1),
            "num_samples=1",
        ),
        (
            lambda: sum_of_squares_ratio(np.ones((3, 2)), [1, 2]),
            r"labels of shape \(2,\)",
        ),
    ],
)
def test_wrong_arguments_are_refused_by_name(call, message):
    with pytest.raises(ValueError, match=message):
        call()
