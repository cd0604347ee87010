"""The faster layers on TensorFlow's CPU compute what Keras' own do."""

import keras
import numpy as np
import pytest

import lng_keras
import zoo
from zoo.devices import tensorflow_cpu

pytestmark = pytest.mark.only("tensorflow", reason="TensorFlow's operations")


def build(norm):
    keras.utils.set_random_seed(0)
    return zoo.build("resnet_na", norm=norm, depth=8, activation="relu")


def trained_once(model, x):
    """Output, gradients and averages of a training call, and the output of another."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        y = model(x, training=True)
        loss = tf.reduce_sum(y * y)
    gradients = tape.gradient(loss, model.trainable_variables)
    averages = [v.value for v in model.non_trainable_variables]
    return [y, *gradients, *averages, model(x, training=False)]


@pytest.mark.parametrize("norm", ["bn", "lng"])
def test_values_gradients_and_averages_are_those_of_keras(norm):
    x = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype("float32")
    model, plain = build(norm), build(norm)
    tensorflow_cpu.speed_up(model)
    changed = [layer for layer in model.layers if "call" in vars(layer)]
    assert len(changed) == 9
    for _ in range(2):
        found, wanted = trained_once(model, x), trained_once(plain, x)
        for actual, expected in zip(found, wanted, strict=True):
            scale = np.abs(expected).max()
            np.testing.assert_allclose(actual / scale, expected / scale, atol=2e-5)
    assert model.get_config() == plain.get_config()


def test_other_layers_are_left_alone():
    norm = keras.layers.BatchNormalization
    for layer in (
        norm(axis=1),
        norm(scale=False),
        norm(renorm=True),
        norm(dtype="mixed_bfloat16"),
        lng_keras.GroupLayerNormalization(groups=1, axis=(1, 2, 3)),
        lng_keras.PositionalGroupLayerNormalization(groups=2),
    ):
        model = keras.Sequential([keras.Input((8, 8, 4)), layer])
        tensorflow_cpu.speed_up(model)
        assert "call" not in vars(model.layers[-1]), layer.get_config()
