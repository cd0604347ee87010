"""What the package promises before any layer runs."""

import importlib
import json
import re
import subprocess
import sys
import types

import keras
import pytest

import lng_keras

TOOLS = ("construction", "cost", "distillation", "export", "measures", "report")
TOOLS += ("search",)
# What the README names, and where it is defined.
PUBLIC = {
    "GroupLayerNormalization": "lng_keras.normalization",
    "PositionalGroupLayerNormalization": "lng_keras.normalization",
    "group_layer_normalization": "lng_keras.functional",
    "swap_normalization": "lng_keras.swap",
    "search_group_size": "lng_keras.adopt.search",
    "search_normalization": "lng_keras.adopt.search",
}


PROCESS = """
import json, sys, keras, numpy
before = set(sys.modules)
import lng_keras
imported = sorted(set(sys.modules) - before)
lng_keras.GroupLayerNormalization()(numpy.ones((2, 8), "float32"))
run = [name for name in sys.modules if name.startswith("lng_keras.")]
tools = [getattr(lng_keras, name).__name__ for name in sys.argv[1:]]
print(json.dumps({"imported": imported, "run": run, "tools": tools}))
"""


@pytest.fixture(scope="module")
def process():
    """What a fresh process has imported, by `import lng_keras` and then by a layer."""
    command = [sys.executable, "-c", PROCESS, *TOOLS]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


@pytest.mark.parametrize("name", PUBLIC)
def test_public_names_are_what_they_say(name):
    found = getattr(lng_keras, name)
    assert found.__name__ == name
    assert found.__module__.startswith(PUBLIC[name])
    assert name in dir(lng_keras)


def test_another_name_is_no_attribute():
    with pytest.raises(AttributeError, match="'lng_keras' has no attribute 'swop'"):
        _ = lng_keras.swop


def test_version_is_a_release():
    assert re.fullmatch(r"\d+\.\d+\.\d+", lng_keras.__version__)


def test_import_brings_neither_another_backend_nor_the_tools(process):
    new = process["imported"]
    assert "lng_keras.normalization" in new
    others = {"tensorflow", "jax", "torch"} - {keras.backend.backend()}
    late = (*others, "matplotlib", "scipy", "PIL", "keras_tuner", "mpmath", "jinja2")
    assert not {name.split(".")[0] for name in new} & {*late, "absl"}
    assert not [name for name in new if name.startswith("lng_keras.adopt")]


def test_tools_are_there_at_their_first_use(process):
    assert [name.split(".")[-1] for name in process["tools"]] == list(TOOLS)


def test_a_layer_runs_the_kernels_of_its_backend_alone(process):
    kernels = {name.removeprefix("lng_keras.kernels.") for name in process["run"]}
    backends = {"tensorflow", "jax", "torch"}
    assert kernels & backends == {keras.backend.backend()}


def test_old_paths_are_the_same_modules_and_functions():
    for room, names in [
        ("cost", ["CostTable", "compare", "example_of", "measure", "quantized"]),
        ("distillation", ["distiller"]),
        ("export", ["FORMATS", "check", "export"]),
        ("report", ["PocReport", "poc"]),
        ("search", ["pareto_front", "search_normalization", "stage_of"]),
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
    from lng_keras._base.errors import UsageError as raised
    from lng_keras.errors import UsageError as caught

    assert caught is raised
