"""Claims about `lng_keras.export` and `lng_keras.distillation`."""

import importlib.util
import os

import keras
import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from lng_keras.adopt.defaults import SUFFIX
from lng_keras.adopt.distillation import distiller
from lng_keras.adopt.export import FORMATS, export
from lng_keras.adopt.export.formats import PACKAGES, REFUSED
from lng_keras.adopt.export.runtimes import RUN
from lng_keras.swap import swap_normalization

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore")  # of the exporters, many


@keras.saving.register_keras_serializable(package="test_export")
class Block(layers.Layer):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        # GELU: tf2onnx needs to be taught its Erfc.
        self.inside = [layers.LayerNormalization(), layers.Dense(8, "gelu")]

    def build(self, shape):
        for layer in self.inside:
            layer.build(shape)

    def call(self, x):
        return self.inside[1](self.inside[0](x))


def trained():
    x = keras.Input((6, 6, 8))
    y = layers.BatchNormalization()(layers.Conv2D(8, 3)(x))
    y = layers.GlobalAveragePooling2D()(layers.GroupNormalization(2)(Block()(y)))
    model = keras.Model(x, layers.Dense(3)(y))
    swapped, _ = swap_normalization(model, group_size=4)
    swapped.compile("sgd", "mse")
    data = np.random.default_rng(0).normal(size=(4, 6, 6, 8)).astype("float32")
    swapped.fit(data, np.ones((4, 3)), verbose=0)
    return swapped


@pytest.mark.parametrize("format", FORMATS)
def test_the_exported_model_computes_the_same_or_is_refused(format, tmp_path):
    backend = keras.config.backend()
    path = str(tmp_path / "model")
    model = trained()
    if (format, backend) in REFUSED:
        with pytest.raises(UsageError, match="KERAS_BACKEND=") as error:
            export(model, path, format)
        assert "\n" not in str(error.value)
        assert os.listdir(tmp_path) == []
        return
    for package in PACKAGES[format].get(backend, ()):
        if importlib.util.find_spec(package) is None:
            with pytest.raises(UsageError, match=f"needs {package}"):
                export(model, path, format)
            pytest.skip(f"{package} is not installed")
    result = export(model, path, format)
    assert os.path.exists(result["path"])
    assert result["difference"] <= result["tolerance"] < 0.1
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]
    with pytest.raises(UsageError, match="exists already"):
        export(model, path, format)


def able():
    """A format that this backend writes."""
    return "openvino" if keras.config.backend() == "torch" else "saved_model"


def dense(inputs):
    return layers.Dense(3)(inputs)


def embedded(inputs):
    return dense(layers.Flatten()(layers.Embedding(2, 4)(inputs)))


def test_a_path_object_and_a_folder_with_a_slash_name_the_file(tmp_path):
    x = keras.Input((4,))
    model = keras.Model(x, dense(x))
    for name, path in (("a", tmp_path / "a"), ("b", f"{tmp_path}/b/")):
        result = export(model, path, able())
        assert result["path"] == str(tmp_path / name) + SUFFIX[able()]
        assert os.path.exists(result["path"])
    suffixes = (".xml", ".bin") if able() == "openvino" else ("",)
    wanted = sorted(name + suffix for name in "ab" for suffix in suffixes)
    assert sorted(os.listdir(tmp_path)) == wanted


def test_inputs_are_given_as_the_model_takes_them(tmp_path):
    x, indices = keras.Input((4,)), keras.Input((5,), dtype="int32")
    for name, model, inputs in (
        ("indices", keras.Model(indices, embedded(indices)), None),
        ("float64", keras.Model(x, dense(x)), np.ones((1, 4))),
        ("list", keras.Model([x], dense(x)), None),
    ):
        assert export(model, str(tmp_path / name), able(), inputs)["bytes"]


def test_inputs_that_are_unknown_or_several_are_refused(tmp_path):
    x, sequence = keras.Input((4,)), keras.Input((None, 4))
    path = str(tmp_path / "model")
    two = keras.Model([x, sequence], [dense(x), dense(sequence)])
    with pytest.raises(UsageError, match="has 2"):
        export(two, path, able())
    unknown = keras.Model(sequence, dense(sequence))
    with pytest.raises(UsageError, match="unknown sizes.*Give `inputs`"):
        export(unknown, path, able())
    assert export(unknown, path, able(), np.ones((1, 3, 4), "float32"))


@pytest.mark.only("tensorflow", "jax", reason="no SavedModel from torch")
def test_a_wrong_file_is_noticed_and_not_left_behind(tmp_path, monkeypatch):
    right = RUN["saved_model"]
    monkeypatch.setitem(RUN, "saved_model", lambda path, x: right(path, x) + 0.01)
    with pytest.raises(UsageError, match="differs by 0.01"):
        export(trained(), str(tmp_path / "model"), "saved_model")
    assert os.listdir(tmp_path) == []


@pytest.mark.only("tensorflow", "jax", reason="no SavedModel from torch")
def test_a_file_that_its_runtime_does_not_take_is_refused(tmp_path, monkeypatch):

    def fail(path, x):
        raise RuntimeError("No Op registered")

    monkeypatch.setitem(RUN, "saved_model", fail)
    with pytest.raises(UsageError, match="does not run: No Op registered"):
        export(trained(), str(tmp_path / "model"), "saved_model")
    assert os.listdir(tmp_path) == []


def test_unknown_format_and_folder_are_refused(tmp_path):
    with pytest.raises(UsageError, match="Known: saved_model, onnx"):
        export(trained(), str(tmp_path / "model"), "pickle")
    if keras.config.backend() != "torch":
        with pytest.raises(UsageError, match="No such folder"):
            export(trained(), str(tmp_path / "no" / "model"), "saved_model")


def classifier(width, **last):
    x = keras.Input((8,))
    y = layers.LayerNormalization()(layers.Dense(width)(x))
    return keras.Model(x, layers.Dense(3, **last)(y))


def test_the_student_learns_the_teachers_answers_without_labels():
    keras.utils.set_random_seed(0)
    teacher = classifier(32)
    student, _ = swap_normalization(classifier(16), group_size=4)
    x = np.random.default_rng(0).normal(size=(64, 8)).astype("float32")
    wanted = keras.ops.convert_to_numpy(teacher(x)).argmax(-1)
    before = [keras.ops.convert_to_numpy(w.value) for w in teacher.weights]
    joined = distiller(student, teacher, weight=1.0)
    joined.compile(
        keras.optimizers.Adam(0.02),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    )
    joined.fit(x, np.zeros(64, int), epochs=80, verbose=0)  # labels all wrong
    got = keras.ops.convert_to_numpy(student(x)).argmax(-1)
    assert (got == wanted).mean() > 0.8
    for weight, value in zip(teacher.weights, before, strict=True):
        np.testing.assert_array_equal(keras.ops.convert_to_numpy(weight.value), value)


def test_what_cannot_be_distilled_is_refused():
    x = keras.Input((8,))
    other = keras.Model(x, layers.Dense(4)(x))
    with pytest.raises(UsageError, match="same output_shape"):
        distiller(classifier(8), other)
    with pytest.raises(UsageError, match="ends in softmax"):
        distiller(classifier(8), classifier(8, activation="softmax"))
    x = keras.Input((8,))
    inside = keras.Model(x, classifier(8, activation="sigmoid")(x))
    with pytest.raises(UsageError, match="ends in sigmoid"):
        distiller(inside, classifier(8))
    with pytest.raises(UsageError, match="weight=2"):
        distiller(classifier(8), classifier(8), weight=2)
