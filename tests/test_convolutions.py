"""The faster backward pass of convolutions gives the gradients of Keras' own."""

import keras
import numpy as np
import pytest

import zoo
from zoo import convolutions

pytestmark = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="TensorFlow's convolutions"
)


def value_and_gradients(model, x):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        y = model(x)
        loss = tf.reduce_sum(y * y)
    return [y, *tape.gradient(loss, model.trainable_variables)]


def test_gradients_are_those_of_keras():
    keras.utils.set_random_seed(0)
    model = zoo.build("resnet_na", norm="lng", depth=8)
    x = np.random.default_rng(0).normal(size=(3, 32, 32, 3)).astype("float32")
    wanted = value_and_gradients(model, x)
    config = model.get_config()
    convolutions.speed_up(model)
    turned = [
        layer.name
        for layer in model.layers
        if getattr(layer, "convolution_op", None) is convolutions._convolve
    ]
    # All but the strided ones, two of which are shortcuts.
    assert len(turned) == len(model.layers) - sum(
        not isinstance(layer, keras.layers.Conv2D) or layer.strides != (1, 1)
        for layer in model.layers
    )
    assert len(turned) == 5
    for actual, expected in zip(value_and_gradients(model, x), wanted, strict=True):
        scale = np.abs(expected).max()
        np.testing.assert_allclose(actual / scale, expected / scale, atol=2e-6)
    assert model.get_config() == config


def test_other_convolutions_are_left_alone():
    for arguments in (
        {"strides": 2},
        {"kernel_size": 2},
        {"padding": "valid"},
        {"groups": 2},
        {"dilation_rate": 2},
        {"data_format": "channels_first"},
    ):
        arguments = {"kernel_size": 3, "padding": "same", "filters": 4} | arguments
        model = keras.Sequential(
            [keras.Input((8, 8, 2)), keras.layers.Conv2D(**arguments)]
        )
        convolutions.speed_up(model)
        assert "convolution_op" not in vars(model.layers[-1])
