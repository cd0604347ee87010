"""Models of mixed precision, and of Keras' own norms with a free batch size, export."""

import importlib.util
import os

import keras
import numpy as np
import pytest

from lng_keras import GroupLayerNormalization
from lng_keras._base.errors import UsageError
from lng_keras.adopt import cli
from lng_keras.adopt.export import FORMATS, export
from lng_keras.adopt.export.formats import PACKAGES, REFUSED
from lng_keras.adopt.export.runtimes import RUN
from lng_keras.swap import swap_normalization
from tests.lng_keras import reference

layers = keras.layers
BACKEND = keras.config.backend()
pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporters, many
# One that needs no other program and is written in seconds.
QUICK = {"tensorflow": "saved_model", "jax": "saved_model", "torch": "onnx"}[BACKEND]


def writable(format):
    """Skips what this backend or this installation does not write."""
    if (format, BACKEND) in REFUSED:
        pytest.skip("refused")
    for package in PACKAGES[format].get(BACKEND, ()):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed")
    return format


@pytest.fixture(params=["mixed_float16", "mixed_bfloat16"])
def policy(request):
    keras.config.set_dtype_policy(request.param)
    yield request.param
    keras.config.set_dtype_policy("float32")


def norms():
    """Every norm of Keras that normalizes examples by themselves, batch unknown."""
    x = keras.Input((6, 6, 8))
    y = layers.LayerNormalization()(layers.Conv2D(8, 3)(x))
    y = layers.LayerNormalization(axis=(1, 2, 3))(y)
    y = layers.RMSNormalization()(layers.GroupNormalization(2)(y))
    return keras.Model(x, layers.Dense(3)(layers.GlobalAveragePooling2D()(y)))


class Subclassed(keras.Model):
    """As people write them: no config."""

    def __init__(self, width):
        super().__init__()
        self.all = [layers.Dense(width), layers.LayerNormalization(), layers.Dense(2)]

    def call(self, x):
        for layer in self.all:
            x = layer(x)
        return x


@pytest.mark.parametrize("format", FORMATS)
def test_a_model_of_mixed_precision_is_exported_in_float32(format, policy, tmp_path):
    model = swap_normalization(norms(), group_size=4)[0]
    weights = [keras.ops.convert_to_numpy(w.value) for w in model.weights]
    done = export(model, tmp_path / "model", writable(format))
    assert done["difference"] < 1e-5 < done["tolerance"] < 0.1
    assert model.layers[1].compute_dtype == policy.removeprefix("mixed_")
    for weight, value in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight.value), value)


def test_a_subclassed_model_of_mixed_precision_is_exported_too(policy, tmp_path):
    model = Subclassed(8)
    x = np.ones((1, 4), "float32")
    model(x)
    assert export(model, tmp_path / "a", writable(QUICK), x)["difference"] < 1e-5


@pytest.mark.parametrize("format", ["onnx", "openvino", "litert"])
def test_what_is_exported_is_exact_at_offsets(format, tmp_path):
    x = keras.Input((5, 24))
    layer = GroupLayerNormalization(group_size=8)
    model = keras.Model(x, layer(x))
    examples = np.random.default_rng(0).normal(size=(1, 5, 24)) + 1e6
    examples = examples.astype("float32")
    done = export(model, tmp_path / "m", writable(format), examples, batch_size=1)
    found = RUN[format](done["path"], examples)
    wanted = reference.normalize(examples, None, None, 3, (2,))
    np.testing.assert_allclose(found, wanted, atol=4e-6)


def test_a_group_is_no_axis_of_an_onnx_file(tmp_path):
    x = keras.Input((5, 24))
    model = keras.Model(x, GroupLayerNormalization(group_size=8)(x))
    path = export(model, tmp_path / "m", writable("onnx"))["path"]
    graph = pytest.importorskip("onnx").load(path).graph
    kinds = {node.op_type for node in graph.node}
    assert "MatMul" in kinds
    assert not {"ReduceMean", "Expand", "Tile"} & kinds


def test_half_precision_is_written_on_request_with_its_tolerance(tmp_path):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        model = norms()
        done = export(model, tmp_path / "a", writable(QUICK), half=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert done["tolerance"] >= 1e-2
    x = keras.Input((4,))
    plain = keras.Model(x, layers.Dense(2)(x))
    with pytest.raises(UsageError, match="half=True has no effect on"):
        export(plain, tmp_path / "b", QUICK, half=True)
    assert "b" not in "".join(os.listdir(tmp_path))


@pytest.mark.parametrize("format", ["onnx", "openvino"])
def test_norms_of_keras_export_with_a_free_batch_size(format, tmp_path, capfd):
    done = export(norms(), tmp_path / "model", writable(format), batch_size=5)
    assert done["difference"] < 1e-4
    assert "aten::" not in capfd.readouterr().out  # torch prints a graph if it fails


def test_what_fails_to_export_is_one_line(tmp_path, monkeypatch, capsys):
    def fail(*arguments, **named):
        print("graph(%1 : Float(1, 6))\n" * 30)
        raise RuntimeError("cannot\n" + "a graph of 30 lines\n" * 30)

    x = keras.Input((4,))
    model = keras.Model(x, layers.Dense(2)(x))
    monkeypatch.setattr(keras.Model, "export", fail)
    with pytest.raises(
        UsageError, match=f"Export to {QUICK}.* failed: cannot"
    ) as error:
        export(model, tmp_path / "model", writable(QUICK))
    assert "\n" not in str(error.value)
    assert capsys.readouterr().out == ""
    assert os.listdir(tmp_path) == []


def test_half_is_an_argument_of_the_command(tmp_path, capsys):
    x = keras.Input((4,))
    keras.Model(x, layers.Dense(2)(x), name="plain").save(tmp_path / "m.keras")
    line = ["export", str(tmp_path / "m.keras"), f"--format={writable(QUICK)}"]
    assert cli.main([*line, f"--output={tmp_path / 'm'}", "--half"]) == 2
    assert "half=True has no effect on 'plain'" in capsys.readouterr().err
