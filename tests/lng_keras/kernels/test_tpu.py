"""The TPU kernel, interpreted on CPU: values, gradients, blocks."""

import numpy as np
import pytest

import lng_keras
from lng_keras import kernels
from tests.lng_keras import reference
from tests.lng_keras.gradients import value_and_vjp

pytestmark = pytest.mark.only("jax", reason="Pallas is JAX's")

# (rows, channels, group size, offset): lanes filled or not, whole axis, rows that do
# not fill the last block, sizes that do not divide 128; several pieces a block, of the
# batch, of height and of width on the lanes, and rows that overhang in each.
CASES = [
    ((130, 2, 3, 24), 24, 6, 1e4),
    ((2, 600, 3, 16), 16, 8, 1e2),
    ((2, 3, 130, 16), 16, 16, 0.0),
    (40, 64, 8, 0.0),
    (37, 192, 4, 1e6),
    (37, 256, 64, 1e4),
    (600, 128, 16, 1e2),
    (33, 96, 6, 1e2),
    (20, 256, 256, 1e6),
    (20, 384, 48, 1e4),
]


@pytest.mark.parametrize(("rows", "channels", "size", "offset"), CASES)
def test_kernel_matches_float64(rows, channels, size, offset):
    rng = np.random.default_rng(0)
    rows = rows if isinstance(rows, tuple) else (rows, channels)
    x = (rng.normal(size=rows) + offset).astype("float32")
    dy = rng.normal(size=x.shape).astype("float32")
    gamma, beta = (rng.normal(size=channels).astype("float32") for _ in range(2))

    def fn(x, gamma, beta):
        with kernels.use("pallas"):
            return lng_keras.group_layer_normalization(x, gamma, beta, group_size=size)

    y, found = value_and_vjp(fn, (x, gamma, beta), dy)
    groups = channels // size
    axes = (x.ndim - 1,)
    wanted = reference.normalize(x, gamma, beta, groups, axes)
    assert np.abs(y - wanted).max() < 1e-5  # gamma of a few units times 2e-6
    for a, b in zip(
        found, reference.gradients(x, gamma, dy, groups, axes), strict=True
    ):
        assert np.linalg.norm(a - b) / np.linalg.norm(b) < 1e-5


def test_bfloat16_is_as_precise_as_its_output():
    import jax.numpy as jnp

    x = jnp.asarray(np.random.default_rng(0).normal(size=(32, 128)) + 3, "bfloat16")
    with kernels.use("pallas"):
        y = lng_keras.group_layer_normalization(x, group_size=8)
    wanted = reference.normalize(np.asarray(x, "float32"), None, None, 16, (1,))
    assert y.dtype == x.dtype
    # Half a unit in the last place of values up to 4: 2^-7.
    assert np.abs(np.asarray(y, "float32") - wanted).max() <= 2**-7


def test_blocks_fit_the_memory_of_a_core():
    from lng_keras.kernels.jax import tpu

    for channels in (64, 192, 768, 1024, 4096):
        axis = tpu.lanes_axis((65536, channels))
        for arrays in (2, 3):
            for itemsize in (2, 4):
                rows = tpu.block_rows(65536, channels, axis, arrays, itemsize)
                assert rows >= 16
                held = 2 * arrays * rows * channels * itemsize
                assert held <= tpu.BLOCK_BYTES
