"""Every test starts from the same random state and full float32 precision."""

import keras
import pytest

from tests import backends

BACKEND = keras.backend.backend()


@pytest.fixture(autouse=True)
def _seed():
    keras.utils.set_random_seed(0)


def pytest_collection_modifyitems(items):
    for item in items:
        if reason := backends.excuse(item.iter_markers(), BACKEND):
            item.add_marker(pytest.mark.skip(reason=backends.EXCUSED + reason))


def pytest_configure(config):
    for marker in backends.MARKERS:
        config.addinivalue_line("markers", marker)
    # Accelerators multiply float32 in lower precision by default.
    if BACKEND == "tensorflow":
        import tensorflow as tf

        tf.config.experimental.enable_tensor_float_32_execution(False)
    elif BACKEND == "jax":
        import jax

        jax.config.update("jax_default_matmul_precision", "highest")
    elif BACKEND == "torch":
        import torch

        torch.backends.cuda.matmul.allow_tf32 = False
