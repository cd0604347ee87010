"""Private names of Keras and its engines: all there, in one folder, missed in a line.

When a new version of Keras, TensorFlow or torch drops a name, the first test here
fails with a message that says which and what it is for.
"""

import ast
import pathlib
import types

import keras
import numpy as np
import pytest

from lng_keras._base.private import graph, layers, training
from lng_keras._base.private.names import Name, NameGone
from lng_keras.swap.walk import functional_class

ROOT = pathlib.Path(__file__).resolve().parents[3]
BACKEND = keras.backend.backend()
FOLDER = ROOT / "lng_keras" / "_base" / "private"


def model():
    x = keras.Input((4,), name="x")
    return keras.Model(x, keras.layers.Dense(2, name="dense")(x), name="model")


def dense():
    return model().layers[-1]


def optimizer():
    return keras.optimizers.SGD(clipnorm=1.0)


def tensorflow():
    return pytest.importorskip("tensorflow")


def torch():
    return pytest.importorskip("torch")


def freezing():
    from lng_keras._base.private.tensorflow import _FREEZING

    tensorflow()
    return __import__(_FREEZING, fromlist=["freezing"])


def contexts():
    from lng_keras._base.private.tensorflow import _CONTEXTS

    tensorflow()
    return __import__(_CONTEXTS, fromlist=["contexts"])


# Name -> what has it, and the engine it is looked up on if that is only one.
OWNERS = {
    layers.FLATTEN: (model, None),
    layers.LAYERS: (model, None),
    layers.TRAINABLE: (dense, None),
    layers.NON_TRAINABLE: (dense, None),
    layers.SEEDS: (dense, None),
    layers.SEED: (keras.layers.MixUp, None),
    layers.INNER: (keras.Sequential, None),
    layers.TRACKER: (dense, None),
    layers.STORES: (dense, None),
    layers.STORED: (dense, None),
    layers.PARAMETERS: (dense, "torch"),
    layers.BUILT_FOR: (dense, None),
    layers.DEFAULT: (lambda: keras.layers.Layer.build, None),
    layers.MODULES: (dense, "torch"),
    graph.CALLS: (dense, None),
    graph.CALLED_BY: (dense, None),
    graph.HISTORY: (lambda: model().output, None),
    graph.OPERATIONS: (model, None),
    graph.BY_DEPTH: (model, None),
    graph.KEYS: (model, None),
    graph.NODES: (model, None),
    graph.INPUTS: (model, None),
    graph.OUTPUTS: (model, None),
    training.BUILD: (model, "tensorflow"),
    training.CLIP: (optimizer, "tensorflow"),
    training.ADD: (optimizer, "tensorflow"),
}
if BACKEND == "tensorflow":
    from lng_keras._base.private import tensorflow as of_tensorflow

    OWNERS[of_tensorflow.MOMENTS] = (lambda: tensorflow().nn, None)
    OWNERS[of_tensorflow.FREEZE] = (freezing, None)
    OWNERS[of_tensorflow.IN_XLA] = (contexts, None)
if BACKEND == "jax":
    from jaxlib import _jax

    from lng_keras._base.private import jax as of_jax

    OWNERS[of_jax.DEVICES] = (lambda: _jax.DeviceTopology, None)
if BACKEND == "torch":
    from lng_keras._base.private import torch as of_torch

    OWNERS[of_torch.TRANSFORMED] = (torch, None)
    OWNERS[of_torch.DONATED] = (torch, None)
HERE = [name for name, (_, engine) in OWNERS.items() if engine in (None, BACKEND)]


@pytest.mark.parametrize("name", HERE, ids=lambda name: name.path)
def test_the_installed_version_has_the_name(name):
    name.of(OWNERS[name][0]())


def test_every_name_is_looked_for_here():
    modules = [graph, layers, training]
    modules += [of_tensorflow] if BACKEND == "tensorflow" else []
    modules += [of_jax] if BACKEND == "jax" else []
    modules += [of_torch] if BACKEND == "torch" else []
    declared = {
        name for m in modules for name in vars(m).values() if isinstance(name, Name)
    }
    assert declared == set(OWNERS)


# What uses a name -> an owner that has lost it.
BARE = types.SimpleNamespace()
USES = {
    "flat": (layers.flat, layers.FLATTEN),
    "held": (layers.held, layers.LAYERS),
    "seed_state": (lambda x: layers.seed_state(x, "tensorflow"), layers.SEED),
    "own_variables": (layers.own_variables, layers.SEEDS),
    "inner_graph": (layers.inner_graph, layers.INNER),
    "unlocked": (lambda x: layers.unlocked(x).__enter__(), layers.TRACKER),
    "take_places": (lambda x: layers.take_places(x, {}), layers.STORES),
    "list_parameters_again": (layers.list_parameters_again, layers.PARAMETERS),
    "first_call": (graph.first_call, graph.CALLS),
    "origin": (graph.origin, graph.HISTORY),
    "seed_generators": (layers.seed_generators, layers.SEEDS),
    "variables": (lambda x: list(layers.variables(x)), layers.TRAINABLE),
    "finish_copy": (lambda x: layers.finish_copy(x, x, {}), layers.TRACKER),
    "ends": (graph.ends, graph.INPUTS),
    "call_others": (lambda x: graph.call_others(x, {}), graph.OPERATIONS),
    "never_build": (training.never_build_from_a_batch, training.BUILD),
    "sum_then_clip": (training.sum_then_clip, training.CLIP),
}


@pytest.mark.parametrize("use", USES)
def test_a_name_that_is_gone_is_one_line_with_version_and_purpose(use):
    function, name = USES[use]
    with pytest.raises(NameGone) as error:
        function(BARE)
    assert str(error.value) == (
        f"keras {keras.__version__} has no SimpleNamespace.{name.path}, needed "
        f"{name.needed} and known from keras {name.checked}; {name.without}"
    )


def test_a_default_build_that_is_not_marked_is_noticed(monkeypatch):
    monkeypatch.setattr(keras.layers.Layer, "build", lambda self, shape: None)
    with pytest.raises(NameGone, match="_is_default, needed to build layers"):
        layers.build_as(lambda self: None, keras.layers.Dense.build)


def test_what_is_not_there_is_not_replaced():
    with pytest.raises(NameGone):
        training.BUILD.replace(BARE, None)
    assert not vars(BARE)


@pytest.mark.only("torch", reason="torch.func is torch's")
def test_torch_computes_plainly_where_it_does_not_tell_of_transforms(monkeypatch):
    assert not of_torch.transforms_are_active()
    monkeypatch.delattr(torch()._C, "_are_functorch_transforms_active")
    assert of_torch.transforms_are_active()


@pytest.mark.only("torch", reason="torch keeps modules apart")
def test_modules_that_torch_keeps_elsewhere_are_noticed():
    with pytest.raises(NameGone, match="torch .* has no SimpleNamespace._modules"):
        list(layers.attributes(BARE))


@pytest.mark.only("tensorflow", reason="TensorFlow's names")
def test_tensorflow_without_its_names(monkeypatch):
    from lng_keras.adopt.cost import analysis
    from zoo.devices import cpu

    tf = tensorflow()
    with monkeypatch.context() as patch:
        patch.delattr(freezing(), of_tensorflow.FREEZE.path)
        with pytest.warns(UserWarning, match="convert_variables.* to count FLOPs"):
            found = analysis.analyze(dense(), np.ones((1, 4), "float32"))
    assert (found.flops, found.activation_bytes) == (None, None)
    with monkeypatch.context() as patch:
        patch.setattr(of_tensorflow, "_FREEZING", "tensorflow.python.moved")
        with pytest.raises(NameGone, match="has no tensorflow.convert_variables"):
            of_tensorflow.frozen(None)
    seen = []

    def look():
        seen.append(of_tensorflow.is_in_xla())

    look()
    for compiled in (False, True):
        tf.function(look, jit_compile=compiled, autograph=False)()
    with monkeypatch.context() as patch:
        patch.setattr(of_tensorflow, "_CONTEXTS", "tensorflow.python.moved")
        tf.function(look, jit_compile=True, autograph=False)()
    assert seen == [False, False, True, False]
    with monkeypatch.context() as patch:
        patch.delattr(tf.nn, "moments")
        with pytest.raises(NameGone, match="moments, needed for second derivatives"):
            of_tensorflow.exact_moments().__enter__()
    with monkeypatch.context() as patch:
        patch.delattr(keras.layers.Layer, layers.FLATTEN.path)
        with pytest.warns(UserWarning, match="slower than it need be: keras .* has no"):
            cpu.speed_up(types.SimpleNamespace(), compiled=False)


@pytest.mark.only("tensorflow", reason="TensorFlow's moments")
def test_moments_are_exact_inside_and_those_of_tensorflow_outside():
    tf = tensorflow()
    original = tf.nn.moments
    with of_tensorflow.exact_moments():
        assert tf.nn.moments is not original
        x = tf.constant([[1.0, 2.0, 6.0]])
        for axes, keepdims in (([1], True), ([0, 1], False)):
            ours = tf.nn.moments(x, axes, keepdims=keepdims)
            for a, b in zip(ours, original(x, axes, keepdims=keepdims), strict=True):
                np.testing.assert_allclose(a, b, rtol=1e-6)
                assert a.shape == b.shape
    assert tf.nn.moments is original


def test_the_functional_class_is_found_without_a_name_being_used_up():
    found = functional_class.__wrapped__()
    assert type(model()) is found
    assert issubclass(found, keras.Model)
    assert found is not keras.Model
    keras.backend.clear_session()
    functional_class.__wrapped__()
    assert keras.Input((1,)).name == "keras_tensor"
    assert keras.layers.Dense(1).name == "dense"


# Private names of our own that a file other than their owner's reads, and those that
# Python itself documents.
_OURS = {"_spec", "_swaps", "_exchanged", "_original", "_coming"}
_DOCUMENTED = {"_replace", "_fields", "_exit"}
_SECRET = ("keras.src", "tensorflow.python", "jax._src", "torch._", "unittest")


def private_names(source):
    """Yields what a program touches that its owner does not promise, by line."""
    for node in ast.walk(ast.parse(source)):
        names, modules = [], []
        if isinstance(node, ast.Attribute):
            own = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            names = [] if own else [node.attr]
        elif isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            modules = [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            modules = [node.value] if "." in node.value else []
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
            if node.func.id in ("getattr", "hasattr", "setattr", "delattr"):
                names = [a.value for a in node.args[1:2] if isinstance(a, ast.Constant)]
        for name in names:
            hidden = name.startswith("_") and not name.startswith("__")
            if hidden and name not in _OURS | _DOCUMENTED:
                yield f"{node.lineno}: {name}"
        for module in modules:
            if module.startswith(_SECRET):
                yield f"{node.lineno}: {module}"


def test_no_other_file_touches_a_private_name():
    files = [ROOT / "train.py", ROOT / "reproduce.py"]
    for room in ("lng_keras", "zoo", "experiments"):
        files += (ROOT / room).rglob("*.py")
    found = [
        f"{path.relative_to(ROOT)}:{line}"
        for path in files
        if FOLDER not in path.parents
        for line in private_names(path.read_text())
    ]
    assert not found
    assert len(files) > 100


@pytest.mark.parametrize(
    "program",
    [
        "layer._tracker",
        "self.layer._tracker",
        "getattr(layer, '_tracker')",
        "import keras.src.models",
        "from keras.src import models",
        "from tensorflow.python.framework import ops",
        "from unittest import mock",
        "importlib.import_module('keras.src.models')",
        "name.startswith('keras.src.')",
    ],
)
def test_the_search_finds(program):
    assert list(private_names(program))


@pytest.mark.parametrize(
    "program", ["self._own", "cls._own", "layer.__class__", "named._replace(a=1)"]
)
def test_the_search_leaves_alone(program):
    assert not list(private_names(program))
