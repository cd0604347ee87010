"""Claims about swaps that keep the function, and about the way back."""

import keras
import numpy as np
import pytest

from lng_keras import GroupLayerNormalization, PositionalGroupLayerNormalization
from lng_keras.swap import swap_normalization
from tests.lng_keras.small_models import (
    array,
    classes,
    disturb,
    functional,
    inputs,
    run,
    sequential,
)

layers = keras.layers
# Keras' variables and NumPy 2 disagree on the arguments of `__array__`.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


THERE_AND_BACK = [
    (layers.LayerNormalization, dict(axis=-1), dict(), (4, 4, 8)),
    pytest.param(
        *(layers.LayerNormalization, dict(axis=1), dict(), (8, 3)),
        marks=pytest.mark.only(
            *("tensorflow", "jax"),
            reason="Keras' LayerNormalization on torch takes the last axis for any",
        ),
    ),
    (layers.RMSNormalization, dict(), dict(), (4, 4, 8)),
    (layers.GroupNormalization, dict(groups=4), dict(groups=4), (4, 4, 8)),
    (layers.GroupNormalization, dict(groups=-1), dict(group_size=1), (4, 4, 8)),
]


@pytest.mark.parametrize(("cls", "arguments", "groups", "shape"), THERE_AND_BACK)
def test_a_to_b_to_a_is_exact(cls, arguments, groups, shape):
    x = keras.Input(shape)
    model = disturb(keras.Model(x, cls(name="norm", epsilon=1e-4, **arguments)(x)))
    data = inputs(2, *shape)
    swapped, _ = swap_normalization(model, **groups)
    back, report = swap_normalization(swapped, to=cls)
    np.testing.assert_array_equal(run(back, data), run(model, data))
    assert not any(row.lost for row in report.rows)


def test_joint_layer_norm_is_carried_where_it_is_constant_over_space():
    model = functional(layers.LayerNormalization, axis=(1, 2, 3))
    _, report = swap_normalization(model)
    assert set(report.rows[0].lost) == {"gamma", "beta"}
    norm = model.get_layer("norm")
    for w in norm.weights:
        value = array(w)
        w.assign(np.broadcast_to(value[:1, :1], value.shape))
    swapped, report = swap_normalization(model, groups=1)
    assert report.rows[0].carried == ["gamma", "beta"]
    x = inputs(2, 4, 4, 8)
    np.testing.assert_allclose(run(swapped, x), run(model, x), atol=2e-6)
    back, _ = swap_normalization(swapped, to=layers.LayerNormalization)
    np.testing.assert_array_equal(run(back, x), run(model, x))


# The identities of the layers: the swap keeps the function where it should.
IDENTITIES = [
    (layers.LayerNormalization, {}, dict(groups=1)),
    (layers.RMSNormalization, {}, dict(groups=1)),
    (layers.GroupNormalization, dict(groups=4), dict(groups=4)),
    (GroupLayerNormalization, dict(group_size=4), dict(to=layers.GroupNormalization)),
]


@pytest.mark.parametrize(("cls", "arguments", "swap"), IDENTITIES)
def test_same_function_where_the_groups_are_the_same(cls, arguments, swap):
    if cls is GroupLayerNormalization:
        arguments = dict(arguments, axis=(1, 2, 3))
    model = functional(cls, **arguments)
    swapped, report = swap_normalization(model, **swap)
    x = inputs(2, 4, 4, 8)
    assert report.replaced
    np.testing.assert_allclose(run(swapped, x), run(model, x), atol=5e-6)


def test_statistics_are_over_the_axes_asked_for():
    def axis_of(cls, arguments=None, **swap):
        swapped, _ = swap_normalization(functional(cls, **(arguments or {})), **swap)
        axis = swapped.get_layer("norm").axis
        return tuple(axis) if isinstance(axis, (list, tuple)) else axis

    assert axis_of(layers.BatchNormalization) == -1
    assert axis_of(layers.BatchNormalization, over_space=True) == (1, 2, 3)
    assert axis_of(layers.GroupNormalization, dict(groups=2)) == (1, 2, 3)
    assert axis_of(layers.GroupNormalization, dict(groups=2), over_space=False) == -1


def test_channels_first_stays_channels_first():
    x = keras.Input((8, 3, 3))
    model = keras.Model(x, layers.BatchNormalization(axis=1, name="norm")(x))
    swapped, _ = swap_normalization(model, over_space=True)
    assert list(swapped.get_layer("norm").axis) == [2, 3, 1]
    swapped, _ = swap_normalization(model, to=PositionalGroupLayerNormalization)
    assert swapped.get_layer("norm").data_format == "channels_first"


def test_a_function_replaces_subclasses_and_restore_brings_them_back():
    class Mine(layers.BatchNormalization):
        pass

    model = functional(Mine)

    def to(norm):
        assert (norm.shape, norm.axes, norm.groups) == ((None, 4, 4, 8), (3,), 1)
        return GroupLayerNormalization(group_size=4)

    swapped, report = swap_normalization(model, to=to)
    assert classes(swapped) == [GroupLayerNormalization]
    assert report.rows[0].carried == ["gamma", "beta"]
    restored, report = report.restore(swapped)
    assert report.replaced
    assert not report.rows[0].lost
    assert classes(restored) == [Mine]
    x = inputs(2, 4, 4, 8)
    np.testing.assert_array_equal(run(restored, x), run(model, x))


def test_a_subclass_that_a_function_put_in_is_restored():
    class OurNormalization(GroupLayerNormalization):
        pass

    model = functional(layers.LayerNormalization)
    swapped, report = swap_normalization(model, to=lambda norm: OurNormalization())
    assert classes(swapped) == [OurNormalization]
    restored, _ = report.restore(swapped)
    x = inputs(2, 4, 4, 8)
    np.testing.assert_array_equal(run(restored, x), run(model, x))


def test_restore_refuses_what_it_cannot_put_back():
    class OtherNorm(layers.Layer):
        def call(self, x):
            return x

    model = functional(layers.LayerNormalization)
    swapped, report = swap_normalization(model, to=lambda norm: OtherNorm())
    for given, why in (
        (swapped, "OtherNorm is not a normalization known here"),
        (sequential(), "the model has no normalization there"),
    ):
        message = f"'norm' cannot be put back: {why}"
        with pytest.raises(ValueError, match=message) as error:
            report.restore(given)
        assert "\n" not in str(error.value)
