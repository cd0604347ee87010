"""What the package promises before any layer runs."""

import subprocess
import sys

import keras
import pytest

import lng_keras


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout


def test_public_names():
    for name in (
        "GroupLayerNormalization",
        "PositionalGroupLayerNormalization",
        "group_layer_normalization",
    ):
        assert hasattr(lng_keras, name)
    assert lng_keras.__version__.count(".") == 2


def test_import_brings_no_backend_but_the_active_one():
    active = keras.backend.backend()
    others = {"tensorflow", "jax", "torch"} - {active}
    code = "import sys, keras; before = set(sys.modules); import lng_keras; "
    code += "new = {m.split('.')[0] for m in set(sys.modules) - before}; print(new)"
    new = run(code)
    for name in (*others, "matplotlib", "keras_tuner", "mpmath", "jinja2", "absl"):
        assert f"'{name}'" not in new


@pytest.mark.skipif(keras.backend.backend() != "torch", reason="torch without others")
def test_layer_on_torch_leaves_the_other_backends_alone():
    code = "import sys, numpy, lng_keras; "
    code += "lng_keras.GroupLayerNormalization()(numpy.ones((2, 8), 'float32')); "
    code += "print('lng_keras.kernels.jax' in sys.modules)"
    assert run(code).strip() == "False"
