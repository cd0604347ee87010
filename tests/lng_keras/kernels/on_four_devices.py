"""Grouped normalization over four devices, beside one; run as a program of its own.

The number of devices is fixed when JAX starts.
"""

import contextlib
import itertools
import re

import jax
import keras
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from lng_keras import (
    GroupLayerNormalization,
    functional,
    group_layer_normalization,
    kernels,
)

# (shape, axis, group size), and kernels that take it.
INPUTS = [
    (((8, 32), -1, 4), ("auto", "pallas", "triton")),
    (((8, 6, 32), -1, 8), ("pallas",)),
    (((4, 4, 4, 32), (1, 2, 3), 4), ("auto",)),
    (((8, 32, 4), 1, 4), ("auto",)),
]
# Axes of the mesh that cut rows, channels and weights.
CUTS = [
    (("data", "model"), None, None),
    ("data", "model", "model"),
    (None, None, None),
]
DEVICES = np.array(jax.devices()).reshape(2, 2)
AUTO = Mesh(DEVICES, ("data", "model"))
EXPLICIT = Mesh(DEVICES, ("data", "model"), axis_types=(AxisType.Explicit,) * 2)


def value_and_gradients(kernel, axis, size):
    def fn(x, gamma, beta, dy):
        def normalize(*tensors):
            return group_layer_normalization(*tensors, axis=axis, group_size=size)

        with kernels.use(kernel):
            y, vjp = jax.vjp(normalize, x, gamma, beta)
            return y, *vjp(dy)

    return fn


def check(found, wanted, what):
    for a, b in zip(found, wanted, strict=True):
        a, b = np.asarray(a), np.asarray(b)
        assert np.abs(a - b).max() <= 1e-5 * np.abs(b).max(), what


def functions():
    rng = np.random.default_rng(0)
    cases = [(case, kernel) for case, kernels_of in INPUTS for kernel in kernels_of]
    for ((shape, axis, size), kernel), cut in itertools.product(cases, CUTS):
        channel = 1 if axis == 1 else len(shape) - 1
        x, dy = (rng.normal(size=shape).astype("float32") for _ in range(2))
        weights = rng.normal(size=(2, shape[channel])).astype("float32")
        wanted = value_and_gradients("reference", axis, size)(x, *weights, dy)
        rows, channels, of_weights = cut
        names = [None] * len(shape)
        names[0], names[channel] = rows, channels
        fn = value_and_gradients(kernel, axis, size)
        for mesh, scope, known in (
            (EXPLICIT, jax.set_mesh(EXPLICIT), True),
            (AUTO, functional.partitioned(AUTO, rows, channels), True),
            (AUTO, contextlib.nullcontext(), False),
        ):
            on = NamedSharding(mesh, PartitionSpec(*names))
            weights_on = NamedSharding(mesh, PartitionSpec(of_weights))
            given = [
                jax.device_put(x, on),
                *(jax.device_put(w, weights_on) for w in weights),
                jax.device_put(dy, on),
            ]
            what = (shape, axis, kernel, cut, known)
            with scope:
                program = jax.jit(fn).lower(*given).compile()
            check(program(*given), wanted, what)
            gathered = re.findall(r" all-(?:gather|to-all)[(]", program.as_text())
            assert not (known and gathered), what


def models():
    """Losses of a small model, under Keras' distributions and without."""
    x = np.random.default_rng(0).normal(size=(8, 64)).astype("float32")

    def losses(distribution):
        keras.distribution.set_distribution(distribution)
        keras.utils.set_random_seed(0)
        with kernels.use("pallas"):
            model = keras.Sequential(
                [
                    keras.Input((64,)),
                    keras.layers.Dense(64, name="wide"),
                    GroupLayerNormalization(group_size=4, name="norm"),
                    keras.layers.Dense(1),
                ]
            )
            model.compile("sgd", "mse")
            data = dict(x=x, y=x[:, :1])
            fitted = model.fit(**data, epochs=3, batch_size=8, shuffle=False, verbose=0)
        return fitted.history["loss"]

    alone = losses(None)
    mesh = keras.distribution.DeviceMesh((2, 2), ["batch", "model"])
    layout = keras.distribution.LayoutMap(mesh)
    layout["wide/kernel"] = (None, "model")
    layout["wide/bias"] = ("model",)
    layout["norm/(gamma|beta)"] = ("model",)
    for distribution in (
        keras.distribution.DataParallel(),
        keras.distribution.ModelParallel(layout_map=layout, batch_dim_name="batch"),
    ):
        np.testing.assert_allclose(losses(distribution), alone, rtol=1e-4)


def refusals():
    for names in (("nowhere", None), (None, "nowhere")):
        with pytest.raises(ValueError, match="must name axes of the mesh"):
            with functional.partitioned(AUTO, *names):
                raise AssertionError(names)


if __name__ == "__main__":
    assert jax.device_count() == 4
    functions()
    models()
    refusals()
    print("equal")
