"""The faster layers on a CPU compute what Keras' own do."""

import keras
import numpy as np
import pytest

import lng_keras
import zoo
from zoo.devices import cpu

RESNET = dict(depth=8, activation="relu")
# backend -> (model, norm, its arguments, layers that are changed)
CASES = {
    "tensorflow": [("resnet_na", "bn", RESNET, 9), ("resnet_na", "lng", RESNET, 9)],
    "torch": [("resnet_na", "bn", RESNET, 9)],
    "jax": [("vit", "none", dict(depth=1, width=8, heads=1), 1)],
}[keras.backend.backend()]


def build(name, norm, arguments):
    keras.utils.set_random_seed(0)
    return zoo.build(name, norm=norm, **arguments)


def changed(model):
    return [layer for layer in model.layers if "call" in vars(layer)]


@pytest.mark.parametrize(("name", "norm", "arguments", "count"), CASES)
def test_steps_and_outputs_are_those_of_keras(name, norm, arguments, count):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(3, 32, 32, 3)).astype("float32")
    y = rng.normal(size=(3, 10)).astype("float32")
    found, configs = [], []
    for faster in (True, False):
        model = build(name, norm, arguments)
        if faster:
            cpu.speed_up(model, compiled=False)
        assert len(changed(model)) == (count if faster else 0)
        # A step of this size is the gradient, next to weights of about its size.
        jit = keras.backend.backend() == "jax"
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=jit)
        for _ in range(2):
            model.train_on_batch(x, y)
        values = [keras.ops.convert_to_numpy(v) for v in model.variables]
        found.append([*values, model.predict_on_batch(x)])
        configs.append(model.get_config())
    assert configs[0] == configs[1]
    for actual, expected in zip(*found, strict=True):
        scale = max(np.abs(expected).max(), 1e-3)
        np.testing.assert_allclose(actual / scale, expected / scale, atol=2e-5)


def test_other_layers_are_left_alone():
    norm = keras.layers.BatchNormalization
    for layer in (
        norm(axis=1),
        norm(scale=False),
        norm(renorm=True),
        norm(dtype="mixed_bfloat16"),
        lng_keras.GroupLayerNormalization(groups=1, axis=(1, 2, 3)),
        lng_keras.PositionalGroupLayerNormalization(groups=2),
        keras.layers.Dense(4, activation="relu"),
        keras.layers.Dense(4, activation="gelu", dtype="mixed_bfloat16"),
    ):
        model = keras.Sequential([keras.Input((8, 8, 4)), layer])
        cpu.speed_up(model, compiled=False)
        assert not changed(model), layer.get_config()


@pytest.mark.only("tensorflow", "torch", reason="JAX's step is always compiled")
def test_what_a_compiler_will_join_is_left_alone():
    model = build("resnet_na", "bn", RESNET)
    cpu.speed_up(model, compiled=True)
    assert not changed(model)


@pytest.mark.only("jax", reason="its GELU is the other backends' own")
def test_gelu_is_exact_to_the_spacing_of_its_input_in_both_modes():
    import jax
    from scipy import special

    from zoo.devices.jax_cpu import gelu

    x = np.linspace(-12, 12, 4001).astype("float32")
    wide = x.astype("float64")
    share = special.ndtr(wide)
    slope = share + wide * np.exp(-(wide**2) / 2) / np.sqrt(2 * np.pi)
    ones = np.ones_like(x)
    spacing = np.spacing(np.abs(x) + np.float32(1))
    assert (np.abs(gelu(x) - wide * share) <= 2 * spacing).all()
    forward = jax.jvp(gelu, (x,), (ones,))[1]
    backward = jax.vjp(gelu, x)[1](ones)[0]
    for found in (forward, backward):
        assert (np.abs(found - slope) <= 4 * np.spacing(ones)).all()


@pytest.mark.only("tensorflow", "torch", reason="JAX's step is always compiled")
def test_the_averaged_variance_is_that_of_small_inputs_too():
    x = np.random.default_rng(0).normal(size=(2, 4, 4, 3)).astype("float32") / 100
    # Without momentum the average is the variance of the last batch.
    norm = keras.layers.BatchNormalization(momentum=0.0)
    model = keras.Sequential([keras.Input((4, 4, 3)), norm])
    cpu.speed_up(model, compiled=False)
    model(x, training=True)
    found = keras.ops.convert_to_numpy(norm.moving_variance)
    np.testing.assert_allclose(found, x.var(axis=(0, 1, 2)), rtol=1e-4)
