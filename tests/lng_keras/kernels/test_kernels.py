"""Every kernel against float64 NumPy: values, gradients, offsets, dtypes."""

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from keras import ops

import lng_keras
from lng_keras import kernels
from lng_keras.kernels import choice
from tests.lng_keras import reference
from tests.lng_keras.gradients import to_numpy, value_and_vjp

BACKEND = keras.backend.backend()
# Float32 output of a group of unit variance: the bar of the layer at every offset.
VALUE_TOLERANCE = 2e-6
# Norm-wise and relative, from float64.
GRADIENT_TOLERANCE = 1e-5

# (shape, axis, group_size): each form of the kernels, and some that have none.
FORMS = [
    ((5, 24), -1, 4),
    ((3, 4, 48), -1, 16),
    ((2, 3, 96), -1, 48),
    ((3, 26), -1, 13),
    ((3, 74), -1, 37),
    ((2, 3, 4, 24), (1, 2, 3), 8),
    ((2, 24, 3, 4), 1, 8),
    ((2, 24, 3, 4), (2, 3, 1), 8),
    ((2, 24, 3, 4), (2, 3, 1), 1),
    ((2, 3, 4, 24), (1, 3), 6),
    ((2, 3, 4, 24), (2, 3), 6),
    ((3, 2, 4, 5, 8), (1, 3, 4), 4),
    ((2, 3, 12, 2, 4), (4, 2), 3),
    ((2, 3, 2, 3, 2, 8), (2, 4, 5), 2),
]


def resolve(axis, rank):
    axes = axis if isinstance(axis, tuple) else (axis,)
    return tuple(a % rank for a in axes)


def draw(shape, channels, seed=0, offset=0.0, dtype="float32"):
    """x, gamma, beta, dy: x near `offset`, random weights so that a layout shows."""
    rng = np.random.default_rng(seed)
    x = (rng.normal(size=shape) + offset).astype(dtype)
    gamma, beta = (rng.normal(size=channels).astype("float32") for _ in range(2))
    return x, gamma, beta, rng.normal(size=shape).astype(dtype)


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@pytest.mark.parametrize(("shape", "axis", "group_size"), FORMS)
def test_value_and_gradients_match_float64(shape, axis, group_size):
    axes = resolve(axis, len(shape))
    channels = shape[axes[-1]]
    x, gamma, beta, dy = draw(shape, channels)

    def fn(x, gamma, beta):
        return lng_keras.group_layer_normalization(
            x, gamma, beta, group_size=group_size, axis=axis
        )

    y, found = value_and_vjp(fn, (x, gamma, beta), dy)
    groups = channels // group_size
    wanted = reference.normalize(x, gamma, beta, groups, axes)
    # gamma and beta of a few units multiply the error of a unit-variance group.
    assert np.abs(y - wanted).max() < 5 * VALUE_TOLERANCE
    for a, b in zip(
        found, reference.gradients(x, gamma, dy, groups, axes), strict=True
    ):
        assert a.shape == b.shape
        assert relative(a, b) < GRADIENT_TOLERANCE


@pytest.mark.parametrize("offset", [0.0, 1e2, 1e4, 1e6])
def test_float32_precision_at_any_offset(offset):
    for size in (2, 3, 4, 8, 16, 64, 256):
        shape = (32, 768)
        x, _, _, dy = draw(shape, 768, seed=size, offset=offset)
        gamma, beta = np.ones(768, "float32"), np.zeros(768, "float32")

        def fn(x, gamma, beta, size=size):
            return lng_keras.group_layer_normalization(x, gamma, beta, group_size=size)

        # JAX compiles the kernel in either case, torch in neither.
        for jit in {"jax": (True,), "torch": (False,)}.get(BACKEND, (False, True)):
            y, found = value_and_vjp(fn, (x, gamma, beta), dy, jit)
            groups = 768 // size
            error = np.abs(y - reference.normalize(x, gamma, beta, groups, (1,))).max()
            assert error <= VALUE_TOLERANCE, (size, jit)
            if size < 3:
                continue  # a sign function: its gradient is all but zero
            wanted = reference.gradients(x, gamma, dy, groups, (1,))
            for a, b in zip(found, wanted, strict=True):
                assert relative(a, b) <= GRADIENT_TOLERANCE, (size, jit)


def test_precision_in_space_at_any_offset():
    for axis, shape in (((1, 2, 3), (2, 8, 8, 16)), ((2, 3, 1), (2, 16, 8, 8))):
        axes = resolve(axis, 4)
        for offset in (0.0, 1e2, 1e4, 1e6):
            x, _, _, _ = draw(shape, 16, offset=offset)
            y = lng_keras.group_layer_normalization(x, group_size=4, axis=axis)
            wanted = reference.normalize(x, None, None, 4, axes)
            assert np.abs(to_numpy(y) - wanted).max() <= VALUE_TOLERANCE


@pytest.mark.parametrize(("shape", "axis", "group_size"), FORMS)
def test_kernel_and_reference_agree_without_the_mean(shape, axis, group_size):
    axes = resolve(axis, len(shape))
    x, gamma, beta, dy = draw(shape, shape[axes[-1]])

    def fn(x, gamma, beta):
        return lng_keras.group_layer_normalization(
            x, gamma, beta, group_size=group_size, axis=axis, subtract_mean=False
        )

    y, found = value_and_vjp(fn, (x, gamma, beta), dy)
    with kernels.use("reference"):
        y_reference, wanted = value_and_vjp(fn, (x, gamma, beta), dy)
    groups = shape[axes[-1]] // group_size
    float64 = reference.normalize(x, gamma, beta, groups, axes, subtract_mean=False)
    assert np.abs(y - float64).max() < 5 * VALUE_TOLERANCE
    assert np.abs(y_reference - float64).max() < 5 * VALUE_TOLERANCE
    for a, b in zip(found, wanted, strict=True):
        assert relative(a, b) < GRADIENT_TOLERANCE


@pytest.mark.parametrize("weights", ["none", "gamma", "beta"])
def test_either_weight_may_be_absent(weights):
    x, gamma, beta, dy = draw((4, 24), 24)
    gamma = gamma if weights == "gamma" else None
    beta = beta if weights == "beta" else None
    given = [w for w in (gamma, beta) if w is not None]

    def fn(x, *given):
        given = list(given)
        return lng_keras.group_layer_normalization(
            x,
            given.pop(0) if gamma is not None else None,
            given.pop(0) if beta is not None else None,
            group_size=4,
        )

    y, found = value_and_vjp(fn, (x, *given), dy)
    assert np.abs(y - reference.normalize(x, gamma, beta, 6, (1,))).max() < 1e-5
    ones = np.ones(24) if gamma is None else gamma
    dx, dgamma, dbeta = reference.gradients(x, ones, dy, 6, (1,))
    wanted = [dx] + [dgamma] * (gamma is not None) + [dbeta] * (beta is not None)
    assert len(found) == len(wanted)
    for a, b in zip(found, wanted, strict=True):
        assert relative(a, b) < GRADIENT_TOLERANCE


def test_second_derivative_is_that_of_the_reference():
    """The gradient of a gradient, which no kernel may lose in its own backward."""
    x, gamma, beta, dy = draw((3, 8), 8)

    def fn(x):
        return lng_keras.group_layer_normalization(x, gamma, beta, group_size=4)

    with kernels.use("reference"):
        wanted = second_derivative(fn, x, dy)
    assert np.linalg.norm(wanted) > 1e-2
    np.testing.assert_allclose(second_derivative(fn, x, dy), wanted, atol=1e-5)


def second_derivative(fn, x, dy):
    """d/dx of |d/dx sum(fn(x) * dy)|^2."""
    if BACKEND == "jax":
        import jax

        def inner(x):
            return (jax.vjp(fn, x)[1](dy)[0] ** 2).sum()

        return np.asarray(jax.grad(inner)(x))
    if BACKEND == "tensorflow":
        import tensorflow as tf

        x, dy = tf.constant(x), tf.constant(dy)
        with tf.GradientTape() as outer:
            outer.watch(x)
            with tf.GradientTape() as tape:
                tape.watch(x)
                y = fn(x)
            total = tf.reduce_sum(tape.gradient(y, x, dy) ** 2)
        return outer.gradient(total, x).numpy()
    import torch

    x = torch.tensor(x, requires_grad=True)
    (first,) = torch.autograd.grad(fn(x), x, torch.tensor(dy), create_graph=True)
    return torch.autograd.grad((first**2).sum(), x)[0].numpy()


def test_constant_group_gives_beta_and_a_finite_gradient():
    x = np.full((2, 3, 8), 7.3, "float32")
    _, gamma, beta, dy = draw(x.shape, 8)

    def fn(x, gamma, beta):
        return lng_keras.group_layer_normalization(x, gamma, beta, group_size=4)

    y, found = value_and_vjp(fn, (x, gamma, beta), dy)
    np.testing.assert_array_equal(y, np.broadcast_to(beta, x.shape))
    dx, dgamma, dbeta = reference.gradients(np.zeros_like(x), gamma, dy, 2, (2,))
    assert np.abs(dx).max() > 100  # 1 / sqrt(epsilon)
    assert relative(found[0], dx) < GRADIENT_TOLERANCE
    np.testing.assert_array_equal(found[1], dgamma)
    assert not dgamma.any()
    assert relative(found[2], dbeta) < GRADIENT_TOLERANCE


# float16 ends at 65,504; of bfloat16 the squares must stay within float32.
@pytest.mark.parametrize(("dtype", "largest"), [("float16", 6e4), ("bfloat16", 1e18)])
def test_large_half_precision_inputs_are_normalized_in_float32(dtype, largest):
    half = ops.cast(largest * normal_in_one(4, 16), dtype)
    y = lng_keras.group_layer_normalization(half, group_size=4)
    assert keras.backend.standardize_dtype(y.dtype) == dtype
    x = to_numpy(ops.cast(half, "float32"))
    wanted = reference.normalize(x, None, None, 4, (1,))
    # Values to 1.73, rounded once: 2^-11 and 2^-8 of them at most.
    rounded = {"float16": 2.0**-11, "bfloat16": 2.0**-8}[dtype]
    assert np.abs(to_numpy(ops.cast(y, "float32")) - wanted).max() <= 2 * rounded


def normal_in_one(*shape):
    x = np.random.default_rng(0).normal(size=shape)
    return (x / np.abs(x).max()).astype("float32")


def test_use_chooses_the_kernel_within_its_block_alone(monkeypatch):
    calls, normalize = [], kernels.reference.normalize

    def counted(*arguments):
        calls.append(arguments)
        return normalize(*arguments)

    monkeypatch.setattr(kernels.reference, "normalize", counted)
    x = draw((2, 8), 8)[0]

    def used():
        calls.clear()
        lng_keras.group_layer_normalization(x, group_size=4)
        return bool(calls)

    assert not used()
    with kernels.use("reference"):
        assert used()
        with kernels.use("auto"):
            assert not used()
        assert used()
    assert not used()


def test_use_refuses_an_unknown_kernel_and_keeps_the_choice():
    with kernels.use("reference"):
        with pytest.raises(ValueError, match="Received: 'fast'"):
            with kernels.use("fast"):
                raise AssertionError
        assert choice._chosen == "reference"


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_any_shape_axis_and_group_size_matches_float64(data):
    rank = data.draw(st.integers(2, 4), label="rank")
    others = list(range(1, rank))
    channel_axis = data.draw(st.sampled_from(others), label="channel axis")
    rest = [a for a in others if a != channel_axis]
    shared = data.draw(st.sets(st.sampled_from(rest)) if rest else st.just(set()))
    axes = (*sorted(shared), channel_axis)
    shape = [data.draw(st.integers(1, 4)) for _ in range(rank)]
    size = data.draw(st.integers(2, 9), label="group size")
    groups = data.draw(st.integers(1, 3), label="groups")
    shape[channel_axis] = size * groups
    dtype = data.draw(st.sampled_from(["float32", "float16", "bfloat16", "int32"]))
    seed = data.draw(st.integers(0, 2**16))
    x, gamma, beta, _ = draw(shape, shape[channel_axis], seed, offset=3.0)
    x = to_numpy(ops.cast(ops.cast(10 * x, dtype), "float32"))
    y = lng_keras.group_layer_normalization(
        ops.cast(x, dtype), gamma, beta, groups=groups, axis=axes
    )
    wanted = reference.normalize(x, gamma, beta, groups, axes)
    # Half precision rounds the output: 2^-11 and 2^-8 of values of a few units.
    tolerance = {"float16": 1e-2, "bfloat16": 8e-2}.get(dtype, 2e-5)
    assert np.abs(to_numpy(ops.cast(y, "float32")) - wanted).max() < tolerance
