"""TensorFlow's programs for a GPU: how often they go over memory."""

import numpy as np
import pytest

from experiments.speed import described
from lng_keras import functional
from lng_keras.kernels.tensorflow import forms

pytestmark = pytest.mark.only("tensorflow", reason="TensorFlow's programs")

TOKENS, MAPS = ((65536, 768), -1), ((256, 32, 32, 64), -1)
SPACE = ((256, 32, 32, 64), (1, 2, 3))
# (input, group size, dtype), and bounds of the bytes over the least: forward, the
# gradient of x, and of gamma and beta too, which XLA takes in passes of their own.
CASES = [
    (TOKENS, 8, "float32", (1.05, 1.05, 2.05)),
    (TOKENS, 48, "bfloat16", (1.05, 1.05)),
    (MAPS, 64, "float32", (1.05, 1.05)),
    (SPACE, 8, "float32", (1.6, 2.03, 2.03)),
]


@pytest.fixture(autouse=True)
def _on_a_gpu(monkeypatch):
    """TensorFlow has none here, so it is told."""
    try:
        described.h100()
    except (ImportError, AttributeError) as error:
        pytest.skip(f"no compiler for CUDA: {error}")
    monkeypatch.setattr(forms, "device_type", lambda x: "GPU")


def normalize(axis, size):
    def fn(x, gamma, beta):
        return functional.group_layer_normalization(
            x, gamma, beta, group_size=size, axis=axis
        )

    return fn


@pytest.mark.parametrize(("of", "size", "dtype", "bounds"), CASES)
def test_bytes_over_the_least_and_temporaries(of, size, dtype, bounds):
    import tensorflow as tf

    shape, axis = of
    fn = normalize(axis, size)
    x, weight = tf.TensorSpec(shape, dtype), tf.TensorSpec(shape[-1:], "float32")
    size_of_x = np.prod(shape) * tf.as_dtype(dtype).size

    def gradients(wanted):
        def run(x, gamma, beta, dy):
            with tf.GradientTape() as tape:
                tape.watch((x, gamma, beta))
                y = fn(x, gamma, beta)
            return tape.gradient(y, (x, gamma, beta)[:wanted], dy)

        return run

    programs = [
        (fn, (x, weight, weight), 2),
        (gradients(1), (x, weight, weight, x), 3),
        (gradients(3), (x, weight, weight, x), 3),
    ]
    for (run, specs, least), bound in zip(programs, bounds, strict=False):
        program = described.compiled_tensorflow(run, *specs)
        assert program.moved <= bound * least * size_of_x
        assert program.temporary < 0.25 * size_of_x
