"""What the package promises before any layer runs."""

import importlib
import subprocess
import sys
import types

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


MODULES = "construction cost distillation export measures report search".split()


def test_tools_are_attributes_without_an_import_of_their_own():
    code = f"import lng_keras; print([getattr(lng_keras, m) for m in {MODULES}])"
    assert run(code).count("<module 'lng_keras.") == len(MODULES)
    assert set(MODULES) <= set(dir(lng_keras))
    with pytest.raises(AttributeError, match="no attribute 'costs'"):
        lng_keras.costs  # noqa: B018  the access is what raises


def test_old_paths_are_the_same_modules_and_functions():
    for room, names in [
        ("cost", ["CostTable", "compare", "example_of", "measure", "quantized"]),
        ("distillation", ["distiller"]),
        ("export", ["FORMATS", "check", "export"]),
        ("report", ["PocReport", "poc"]),
        ("search", ["pareto_front", "search_group_size", "stage_of"]),
    ]:
        old = importlib.import_module(f"lng_keras.{room}")
        new = importlib.import_module(f"lng_keras.adopt.{room}")
        assert old is new is getattr(lng_keras, room)
        for name in names:
            scope = {}
            exec(f"from lng_keras.{room} import {name}", scope)
            assert scope[name] is getattr(new, name)
            assert not isinstance(scope[name], types.ModuleType)
    assert lng_keras.search_group_size is lng_keras.search.search_group_size


def test_import_loads_no_tools():
    code = "import sys, keras; before = set(sys.modules); import lng_keras; "
    code += "print(sorted(set(sys.modules) - before))"
    loaded = run(code)
    assert "'lng_keras.swap'" in loaded
    for name in ("lng_keras.adopt", "lng_keras.measures", "lng_keras.construction"):
        assert name not in loaded
    for name in ("scipy", "matplotlib", "jinja2", "keras_tuner", "PIL"):
        assert f"'{name}'" not in loaded


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
