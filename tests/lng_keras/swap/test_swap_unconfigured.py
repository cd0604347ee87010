"""The swap on models and layers that no config rebuilds, as most people write them."""

import functools

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
    inputs,
    other_weights,
    run,
)

layers = keras.layers
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


class PlainArguments(keras.Model):
    """No **kwargs, no `get_config`; layers in lists and dicts; a weight of its own."""

    def __init__(self, width, depth=2):
        super().__init__()
        self.blocks = [
            {"norm": layers.BatchNormalization(), "dense": layers.Dense(width)}
            for _ in range(depth)
        ]
        self.named = {"last": [layers.LayerNormalization()]}
        self.drop = layers.Dropout(0.1, seed=1)
        self.method = self.finish

    def build(self, shape):
        self.scaled = self.add_weight(shape=(shape[-1],), initializer="ones", name="s")
        self.frozen = self.add_weight(shape=(), trainable=False, name="f")

    def finish(self, x):
        return self.named["last"][0](x)

    def call(self, x, training=None):
        x = x * self.scaled + self.frozen
        for block in self.blocks:
            x = block["dense"](block["norm"](x, training=training))
        return self.method(self.drop(x, training=training))


class TakesObjects(keras.Model):
    """Its arguments cannot be written to a file; a sequential model inside."""

    def __init__(self, norm, activation):
        super().__init__()
        self.norm = norm
        self.activation = functools.partial(activation, negative_slope=0.1)
        self.tower = keras.Sequential([layers.Dense(8), layers.BatchNormalization()])
        self.alias = self.tower

    def call(self, x, training=None):
        return self.activation(self.alias(self.norm(x), training=training))


class OwnFunctional(keras.Model):
    def __init__(self, width):
        x = keras.Input((8,))
        self_made = Holder(layers.Dense(width))(x)
        super().__init__(x, layers.Dense(3)(layers.BatchNormalization()(self_made)))
        self.width = width


class OwnSequential(keras.Sequential):
    def __init__(self, width, *more):
        super().__init__([layers.Dense(width), layers.BatchNormalization(), *more])


class Holder(layers.Layer):
    def __init__(self, inner):
        super().__init__()
        self.inner = inner
        self.norm = layers.LayerNormalization()

    def call(self, x):
        return self.norm(self.inner(x))


class Forgetful(layers.Layer):
    """Its config rebuilds another layer than this."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.norm, self.dense = layers.LayerNormalization(), layers.Dense(width)

    def call(self, x):
        return self.dense(self.norm(x))

    def get_config(self):
        return {**super().get_config(), "width": 3}


def inside(layer):
    x = keras.Input((8,))
    return keras.Model(x, layers.Dense(2)(layer(x)))


UNCONFIGURED = {
    "plain arguments": (lambda: PlainArguments(16), 3),
    "objects": (
        lambda: TakesObjects(layers.LayerNormalization(), keras.ops.leaky_relu),
        2,
    ),
    "a functional class": (lambda: OwnFunctional(16), 2),
    "a sequential class": (lambda: OwnSequential(16, layers.Dense(3)), 1),
    "a layer in a functional model": (lambda: inside(Holder(layers.Dense(16))), 1),
    "a config of something else": (lambda: inside(Forgetful(5)), 1),
}
X = inputs(4, 8)


def made(case):
    model = UNCONFIGURED[case][0]()
    model(X)
    model.trainable = True
    return disturb(model)


def assert_same(values, variables):
    for value, variable in zip(values, variables, strict=True):
        np.testing.assert_array_equal(value, array(variable))


@pytest.mark.parametrize("case", UNCONFIGURED)
def test_a_copy_is_made_without_the_constructor(case, tmp_path):
    model, count = made(case), UNCONFIGURED[case][1]
    before, weights = run(model, X), [array(w).copy() for w in model.weights]
    swapped, report = swap_normalization(model, group_size=4)
    assert len(report.replaced) == count
    assert classes(swapped) == [GroupLayerNormalization] * count
    assert_same([array(w) for w in other_weights(model)], other_weights(swapped))
    assert not {id(v) for v in model.variables} & {id(v) for v in swapped.variables}
    assert isinstance(swapped, type(model))

    restored, _ = report.restore(swapped)
    np.testing.assert_allclose(run(restored, X), before, atol=1e-6)

    swapped.compile("sgd", "mse")
    swapped.fit(X, np.ones(before.shape), verbose=0)
    assert any(
        not np.array_equal(array(a), array(b))
        for a, b in zip(other_weights(swapped), other_weights(model), strict=True)
    )
    assert_same(weights, model.weights)
    np.testing.assert_array_equal(run(model, X), before)

    swapped.save_weights(tmp_path / "a.weights.h5")
    again, _ = swap_normalization(model, group_size=4)
    again.load_weights(tmp_path / "a.weights.h5")
    np.testing.assert_array_equal(run(again, X), run(swapped, X))
    with pytest.raises(NotImplementedError, match="no config that rebuilds it") as e:
        swapped.save(tmp_path / "a.keras")
    assert "\n" not in str(e.value)


@pytest.mark.parametrize("case", ["plain arguments", "a functional class"])
def test_in_place_the_model_itself_is_changed(case):
    model, count = made(case), UNCONFIGURED[case][1]
    model.compile("sgd", "mse")
    shape = run(model, X).shape
    model.fit(X, np.ones(shape), verbose=0)
    wanted = run(swap_normalization(model, group_size=4)[0], X)
    same, report = swap_normalization(model, group_size=4, in_place=True)
    assert same is model
    assert len(report.replaced) == count
    np.testing.assert_array_equal(run(model, X), wanted)
    model.fit(X, np.ones(shape), verbose=0)
    assert not np.array_equal(run(model, X), wanted)


@pytest.mark.parametrize("name", MODELS)
def test_in_place_a_model_with_a_config_still_saves(name, tmp_path):
    build, shape, count = MODELS[name]
    model, x = build(), inputs(*shape)
    wanted = run(swap_normalization(model, group_size=4)[0], x)
    _, report = swap_normalization(model, group_size=4, in_place=True)
    assert len(report.replaced) == count
    np.testing.assert_array_equal(run(model, x), wanted)
    model.save(tmp_path / "a.keras")
    loaded = keras.models.load_model(tmp_path / "a.keras")
    np.testing.assert_array_equal(run(loaded, x), wanted)


def test_what_cannot_be_copied_names_what_to_do():
    class Closure(keras.Model):
        def __init__(self):
            super().__init__()
            norm = self.norm = layers.LayerNormalization()
            self.apply = lambda x: norm(x)

        def call(self, x):
            return self.apply(x)

    model = Closure()
    model(X)
    with pytest.raises(RuntimeError, match="'apply' of Closure.*in_place=True") as e:
        swap_normalization(model)
    assert "\n" not in str(e.value)
    assert list(find_normalizations(model))[0][1].layer is model.norm
