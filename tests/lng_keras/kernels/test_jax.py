"""JAX's transformations of the function, for each kernel, beside the plain form."""

import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import lng_keras
from lng_keras import kernels

pytestmark = pytest.mark.only("jax", reason="transformations of JAX")

# Kernels, and inputs that each takes: (shape, axis, group size). "auto" is the CPU's.
CASES = [
    ("auto", (3, 24), -1, 8),
    ("auto", (2, 3, 12), (1, 2), 4),
    ("auto", (2, 6, 3), 1, 6),
    ("pallas", (3, 24), -1, 12),
    ("triton", (3, 24), -1, 12),
    ("triton", (2, 2, 20), -1, 5),
]


def cubes(fn):
    return lambda *arguments: (fn(*arguments) ** 3).sum()


def squared_gradient(fn, *weights):
    import jax

    return lambda x: (jax.grad(cubes(fn))(x, *weights) ** 2).sum()


def transformations(x, gamma, beta, direction):
    """Yields (name, function of a function of x, gamma and beta)."""
    import jax

    many, weights = np.stack([x, x + 1]), np.stack([gamma, gamma + 1])
    primals, tangents = (x, gamma, beta), (direction, beta, gamma)
    one = (0, None, None)

    def scanned(fn):
        def three_times(x):
            step = lambda carry, _: (fn(carry, gamma, beta), None)  # noqa: E731
            return (jax.lax.scan(step, x, None, length=3)[0] ** 3).sum()

        return three_times

    yield "value", lambda f: f(*primals)
    yield "grad", lambda f: jax.grad(cubes(f), (0, 1, 2))(*primals)
    yield "grad of x, compiled", lambda f: jax.jit(jax.grad(cubes(f)))(*primals)
    yield "jvp", lambda f: jax.jvp(f, primals, tangents)
    yield (
        "linearize",
        lambda f: jax.linearize(lambda x: f(x, gamma, beta), x)[1](direction),
    )
    yield "jacfwd", lambda f: jax.jacfwd(f, (0, 1, 2))(*primals)
    yield "jacrev", lambda f: jax.jacrev(f, (0, 1, 2))(*primals)
    yield "hessian", lambda f: jax.hessian(cubes(f), (0, 1))(*primals)
    yield "grad of grad", lambda f: jax.grad(squared_gradient(f, gamma, beta))(x)
    yield (
        "jvp of grad",
        lambda f: jax.jvp(jax.grad(cubes(f), (0, 1)), primals, tangents),
    )
    yield "vmap", lambda f: jax.vmap(f, one)(many, gamma, beta)
    yield (
        "vmap, last axis",
        lambda f: jax.vmap(f, (-1, None, None), -1)(
            np.moveaxis(many, 0, -1), gamma, beta
        ),
    )
    yield (
        "vmap of grad",
        lambda f: jax.vmap(jax.grad(cubes(f), (0, 1)), one)(many, gamma, beta),
    )
    yield (
        "vmap of weights",
        lambda f: jax.vmap(jax.grad(cubes(f), (0, 1)))(many, weights, weights),
    )
    yield "checkpoint", lambda f: jax.grad(jax.checkpoint(cubes(f)))(*primals)
    yield "scan", lambda f: jax.grad(scanned(f))(x)


@pytest.mark.parametrize(("kernel", "shape", "axis", "size"), CASES)
@pytest.mark.parametrize("subtract_mean", [True, False])
def test_every_transformation_is_that_of_the_plain_form(
    kernel, shape, axis, size, subtract_mean
):
    import jax

    rng = np.random.default_rng(0)
    channels = shape[axis if isinstance(axis, int) else axis[-1]]
    x, direction = (rng.normal(size=shape).astype("float32") for _ in range(2))
    gamma, beta = (rng.normal(size=channels).astype("float32") for _ in range(2))

    def by(name):
        def fn(x, gamma, beta):
            with kernels.use(name):
                return lng_keras.group_layer_normalization(
                    x,
                    gamma,
                    beta,
                    group_size=size,
                    axis=axis,
                    subtract_mean=subtract_mean,
                )

        return fn

    def all_of(name):
        fn, rows = by(name), transformations(x, gamma, beta, direction)
        return {row: jax.tree.leaves(transform(fn)) for row, transform in rows}

    # One program compiles in a fraction of the time that operations take one by one.
    eager = subtract_mean and (kernel, shape, axis, size) in (CASES[0], CASES[-1])
    found = all_of(kernel) if eager else jax.jit(lambda: all_of(kernel))()
    for name, wanted in jax.jit(lambda: all_of("reference"))().items():
        for a, b in zip(found[name], wanted, strict=True):
            assert a.dtype == b.dtype, name
            error = np.abs(a - b).max() / (np.abs(b).max() + 1e-9)
            assert error < 1e-4, (name, error)


def test_gradient_of_x_alone_computes_no_sums_for_the_weights():
    import jax

    layer = lng_keras.GroupLayerNormalization(group_size=4)
    layer.build((None, 24))
    x = np.ones((6, 24), "float32")

    pulled = jax.make_jaxpr(jax.grad(lambda x: layer(x).sum()))(x).eqns
    (pull,) = (e for e in pulled if e.primitive.name == "grouped_norm_pull")
    assert pull.params["wanted"] == (True, False, False)
    assert [v.aval.shape for v in pull.outvars] == [(6, 24)]


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_kernels_take_half_precision(dtype):
    x = np.random.default_rng(0).normal(size=(40, 48)).astype("float32")
    half = keras.ops.cast(x, dtype)
    wanted = lng_keras.group_layer_normalization(
        keras.ops.cast(half, "float32"), group_size=6
    )
    for kernel in ("auto", "pallas", "triton"):
        with kernels.use(kernel):
            y = lng_keras.group_layer_normalization(half, group_size=6)
        assert y.dtype == half.dtype
        # Half a unit in the last place of values up to 4.
        place = {"bfloat16": 2**-7, "float16": 2**-10}[dtype]
        assert np.abs(np.asarray(y, "float32") - wanted).max() <= place


def test_four_devices_give_what_one_gives():
    """Under explicit axes, as the user says, as XLA likes, and as Keras distributes."""
    flags = "--xla_force_host_platform_device_count=4"
    done = subprocess.run(
        [sys.executable, "-m", "tests.lng_keras.kernels.on_four_devices"],
        capture_output=True,
        text=True,
        env={**os.environ, "XLA_FLAGS": flags, "JAX_PLATFORMS": "cpu"},
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-2000:]
