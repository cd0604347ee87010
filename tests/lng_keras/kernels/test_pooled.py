"""The form for exported models: exact at offsets, and what it leaves to others."""

import keras
import numpy as np
import pytest

import lng_keras
from lng_keras import kernels
from lng_keras.kernels import pooled
from lng_keras.kernels.spec import Spec
from tests.lng_keras import reference

RNG = np.random.default_rng(0)
GAMMA, BETA = RNG.normal(size=(2, 24)).astype("float32")


@pytest.mark.parametrize("offset", [0.0, 1e3, 1e6])
@pytest.mark.parametrize("shape", [(5, 24), (2, 3, 24), (2, 2, 3, 24)])
@pytest.mark.parametrize("subtract_mean", [True, False])
def test_it_is_exact_at_any_offset(offset, shape, subtract_mean):
    x = (RNG.normal(size=shape) + offset).astype("float32")
    axes = (len(shape) - 1,)
    with kernels.use("pooled"):
        found = lng_keras.group_layer_normalization(
            x, GAMMA, BETA, groups=3, subtract_mean=subtract_mean
        )
    wanted = reference.normalize(
        x, GAMMA, BETA, 3, axes, epsilon=1e-5, subtract_mean=subtract_mean
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(found), wanted, rtol=2e-6, atol=4e-6
    )


def test_it_needs_no_weights_and_keeps_the_type():
    x = RNG.normal(size=(4, 24)).astype("float16")
    spec = Spec(3, (1,), 1e-5, True)
    found = pooled.normalize(keras.ops.convert_to_tensor(x), None, None, spec)
    assert keras.backend.standardize_dtype(found.dtype) == "float16"
    wanted = reference.normalize(x, None, None, 3, (1,))
    found = keras.ops.convert_to_numpy(keras.ops.cast(found, "float32"))
    np.testing.assert_allclose(found, wanted, atol=2e-3)


@pytest.mark.parametrize(
    ("shape", "groups", "axes"),
    [((2, 8), 1, (1,)), ((2, 4, 8), 2, (1, 2)), ((2, 256), 128, (1,))],
)
def test_other_norms_are_left_to_other_forms(shape, groups, axes):
    x = RNG.normal(size=shape).astype("float32")
    assert not pooled.supports(keras.ops.convert_to_tensor(x), Spec(groups, axes, 1, 1))
    with kernels.use("pooled"):
        found = lng_keras.group_layer_normalization(x, groups=groups, axis=axes)
    wanted = reference.normalize(x, None, None, groups, axes)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), wanted, atol=1e-5)
