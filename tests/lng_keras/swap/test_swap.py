"""Claims about `swap_normalization` on small models."""

import keras
import numpy as np
import pytest

from lng_keras import GroupLayerNormalization
from lng_keras.swap import find_normalizations, swap_normalization
from tests.lng_keras.small_models import (
    MODELS,
    array,
    classes,
    disturb,
    functional,
    inputs,
    other_weights,
    run,
    sequential,
    transformer,
)

layers = keras.layers
# Keras' variables and NumPy 2 disagree on the arguments of `__array__`.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


@pytest.fixture(params=MODELS)
def case(request):
    make, shape, count = MODELS[request.param]
    return make(), inputs(*shape), count


def test_every_norm_is_found_and_replaced(case):
    model, _, count = case
    before = classes(model)
    swapped, report = swap_normalization(model, group_size=4)
    assert len(before) == len(report.replaced) == count
    assert classes(swapped) == [GroupLayerNormalization] * count
    assert [row.path for row in report.rows] == [
        norm.path for _, norm in find_normalizations(swapped)
    ]


def test_other_weights_are_equal_bit_for_bit_and_the_original_is_untouched(case):
    model, x, _ = case
    before, classes_before = run(model, x), classes(model)
    weights = [array(w).copy() for w in model.weights]
    swapped, _ = swap_normalization(model, group_size=4)
    pairs = list(zip(other_weights(model), other_weights(swapped), strict=True))
    assert pairs
    for a, b in pairs:
        assert a is not b
        np.testing.assert_array_equal(array(a), array(b))
    swapped.compile("sgd", "mse")
    swapped.fit(x, run(swapped, x) + 1, verbose=0)  # donates its buffers on JAX
    np.testing.assert_array_equal(run(model, x), before)
    assert classes(model) == classes_before
    for w, value in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(array(w), value)


def test_names_stay(case):
    model, _, _ = case
    swapped, _ = swap_normalization(model, group_size=4)
    assert names(model) == names(swapped)


def names(layer):
    return [(child.name, *names(child)) for child in layer._layers]


def test_restore_gives_back_the_outputs_exactly(case):
    model, x, _ = case
    swapped, report = swap_normalization(model, group_size=4)
    assert not np.allclose(run(swapped, x), run(model, x))
    restored, _ = report.restore(swapped)
    np.testing.assert_array_equal(run(restored, x), run(model, x))


def test_a_trained_swap_saves_and_loads(case, tmp_path):
    model, x, count = case
    swapped, _ = swap_normalization(model, group_size=4)
    swapped.compile("sgd", "mse")
    before = run(swapped, x)
    swapped.fit(x, before + 1, verbose=0)
    assert not np.allclose(run(swapped, x), before)
    swapped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(run(loaded, x), run(swapped, x))
    assert classes(loaded) == [GroupLayerNormalization] * count
    # What was loaded can be swapped again, and saved.
    again, _ = swap_normalization(loaded, group_size=2)
    assert {n.layer.group_size for _, n in find_normalizations(again)} == {2}
    again.save(tmp_path / "again.keras")
    loaded = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(run(loaded, x), run(again, x))


def test_a_layer_shared_with_an_inner_model_stays_shared():
    shared = layers.LayerNormalization(name="shared")
    x = keras.Input((8,))
    inner = keras.Model(x, shared(layers.Dense(8)(x)), name="inner")
    model = disturb(keras.Model(x, shared(inner(x))))
    swapped, _ = swap_normalization(model, group_size=4)
    assert swapped.get_layer("shared") is swapped.get_layer("inner").get_layer("shared")
    assert len(swapped.weights) == len(model.weights)


def test_a_norm_with_two_names_is_replaced_under_both():
    swapped, _ = swap_normalization(transformer(), group_size=4)
    assert isinstance(swapped.alias, GroupLayerNormalization)
    assert swapped.alias is swapped.blocks[0].norm


# from -> (to and back, with what, input shape): where A -> B -> A is exact by class.


def test_running_statistics_that_are_lost_are_said():
    _, report = swap_normalization(sequential())
    assert set(report.rows[0].lost) == {"moving_mean", "moving_variance"}
    assert "moving_variance" in report.summary()
    assert "moving_variance" in str(report)
    assert "moving_variance" in report._repr_html_()


def test_where_selects_by_pattern_path_and_predicate():
    model = transformer()

    def replaced(where):
        _, report = swap_normalization(model, group_size=4, where=where)
        assert len(report.replaced) + len(report.left_out) == 12
        return [row.path for row in report.replaced]

    assert replaced("norm") == ["norm"]
    assert all("blocks[1]" in path for path in replaced("blocks[[]1]*"))
    assert len(replaced("blocks*")) == 10
    assert replaced(["norm", "tower/*"]) != replaced("norm")
    only_batch = replaced(lambda n: isinstance(n.layer, layers.BatchNormalization))
    assert len(only_batch) == 1


def test_group_size_may_be_a_function_of_the_norm():
    def size(norm):
        return 2 if norm.path == "norm" else 4

    _, report = swap_normalization(transformer(), group_size=size)
    after = {row.path: row.after for row in report.rows}
    assert after["norm"] == "GroupLayerNormalization(group_size=2)"
    assert after["blocks[0].norm"] == "GroupLayerNormalization(group_size=4)"


def test_to_may_be_a_function_and_none_keeps():
    def to(norm):
        if norm.path == "norm":
            return GroupLayerNormalization(groups=2, name=norm.layer.name)
        return None

    swapped, report = swap_normalization(transformer(), to=to)
    assert [row.path for row in report.replaced] == ["norm"]
    assert swapped.norm.groups == 2


@pytest.mark.parametrize(
    ("channels", "asked", "chosen"),
    [
        (24, dict(group_size=16), 12),
        (40, dict(group_size=16), 20),
        (7, dict(group_size=8), 7),
        (10, dict(group_size=4), 5),
        (10, dict(groups=3), 5),
        # 40 / 16 = 2.5, which divides 40 as a float does.
        (40, dict(groups=16), 4),
        (12, dict(groups=8), 3),
        (9, dict(group_size=1), 3),
    ],
)
def test_groups_that_do_not_fit_are_chosen_by_the_stated_rule(channels, asked, chosen):
    x = keras.Input((channels,))
    model = keras.Model(x, layers.LayerNormalization(name="norm")(x))
    swapped, report = swap_normalization(model, **asked)
    assert swapped.get_layer("norm").group_size == chosen
    assert f"groups of {chosen} instead" in report.rows[0].reason
    with pytest.raises(ValueError, match=f"'norm': .* does not fit its {channels} ch"):
        swap_normalization(model, **asked, indivisible="refuse")


def test_group_size_may_be_an_integer_of_numpy(tmp_path):
    model = functional(layers.LayerNormalization)
    swapped, report = swap_normalization(model, group_size=np.int64(4))
    assert report.rows[0].after == "GroupLayerNormalization(group_size=4)"
    swapped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = inputs(2, 4, 4, 8)
    np.testing.assert_array_equal(run(loaded, x), run(swapped, x))


def test_two_channels_are_kept_because_their_groups_are_a_sign_function():
    x = keras.Input((2,))
    model = keras.Model(x, layers.LayerNormalization()(x))
    _, report = swap_normalization(model)
    assert report.kept
    assert "no divisor of 3 or more" in report.kept[0].reason


def test_a_norm_that_is_already_there_is_kept():
    model = functional(GroupLayerNormalization, group_size=4)
    _, report = swap_normalization(model, group_size=4)
    assert "already" in report.kept[0].reason


def test_unknown_and_subclassed_norms_are_kept_with_the_reason():
    class FrozenBatchNormalization(layers.BatchNormalization):
        pass

    class StrangeNorm(layers.Layer):
        def call(self, x):
            return x

    x = keras.Input((8,))
    y = layers.LayerNormalization()(StrangeNorm()(FrozenBatchNormalization()(x)))
    _, report = swap_normalization(keras.Model(x, y))
    reasons = [row.reason for row in report.kept]
    assert "subclass of BatchNormalization" in reasons[0]
    assert "StrangeNorm is not a normalization known here" in reasons[1]
    assert len(report.replaced) == 1


def test_settings_of_a_norm_are_kept():
    model = functional(
        layers.LayerNormalization,
        epsilon=0.25,
        scale=False,
        beta_regularizer="l2",
        dtype="mixed_bfloat16",
    )
    model.get_layer("norm").trainable = False
    swapped, _ = swap_normalization(model)
    norm = swapped.get_layer("norm")
    assert norm.epsilon == 0.25
    assert norm.gamma is None
    assert isinstance(norm.beta_regularizer, keras.regularizers.L2)
    assert norm.compute_dtype == "bfloat16"
    assert not norm.trainable
    assert swapped.get_layer("first").trainable


def test_random_states_of_other_layers_are_carried():
    model = transformer()
    swapped, _ = swap_normalization(model, group_size=4)
    dropout, copy = model.tower.layers[-1], swapped.tower.layers[-1]
    np.testing.assert_array_equal(
        array(dropout.seed_generator.state),
        array(copy.seed_generator.state),
    )
