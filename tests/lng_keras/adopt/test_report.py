"""Claims about the report from Python, and its parts."""

import keras
import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from lng_keras.adopt import fingerprint, report, trainings
from lng_keras.adopt.activation import output_activation
from lng_keras.adopt.cost import CostTable
from lng_keras.adopt.report import answers
from lng_keras.swap import swap_normalization
from tests.lng_keras.adopt.poc import arrays, classifier

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def test_from_python_it_shows_in_a_notebook():
    x, y = arrays()
    result = report.poc(
        classifier(layers.LayerNormalization),
        (x[:40], y[:40], x[40:], y[40:]),
        group_sizes=(4,),
        epochs=1,
        seeds=1,
        batch_sizes=(1,),
        progress=lambda text: None,
    )
    assert result._repr_html_().startswith("<iframe srcdoc=")
    assert result.paths == {}
    with pytest.raises(UsageError, match="must be >= 1"):
        report.poc(classifier(), (x, y, x, y), epochs=0)


def ends_in(last, units=3):
    x = keras.Input((4,))
    return keras.Model(x, last(layers.Dense(units)(x)))


def test_the_last_activation_is_found_wherever_it_is():
    x = keras.Input((4,))
    head = ends_in(layers.Softmax())
    two = keras.Sequential(
        [keras.Input((4,)), keras.Sequential([layers.Dense(3, "softmax")])]
    )
    swapped, _ = swap_normalization(
        keras.Model(x, head(layers.LayerNormalization()(x))), group_size=4
    )
    for model, wanted in [
        (ends_in(layers.Dense(3, activation="softmax")), "softmax"),
        (head, "softmax"),
        (ends_in(layers.Activation("softmax", dtype="float32")), "softmax"),
        (ends_in(keras.ops.softmax), "softmax"),
        (keras.Model(x, head(x)), "softmax"),
        (two, "softmax"),
        (swapped, "softmax"),
        (ends_in(layers.Activation("sigmoid"), units=1), "sigmoid"),
        (ends_in(layers.Dense(3)), "linear"),
    ]:
        assert output_activation(model) == wanted
        loss = trainings.compiled(model, 0.1).loss
        assert loss.get_config()["from_logits"] == (wanted == "linear")


def test_a_probability_of_one_class_is_right_above_a_half():
    x = keras.Input((1,))
    inside = keras.Model(x, layers.Activation("sigmoid")(x))
    values, labels = np.array([[-1.0], [1.0]]), np.array([0, 1])
    for model in (inside, keras.Model(x, inside(x)), keras.Model(x, x * 1.0)):
        assert trainings.correct(model, values, labels, 2) == [1, 1]


def test_a_fingerprint_tells_configurations_and_weights_apart_but_not_names():
    def built(activation="relu", seed=0, strides=1, dtype=None):
        keras.utils.set_random_seed(seed)
        x = keras.Input((4, 4, 3))
        y = layers.Conv2D(4, 1, strides, activation=activation, dtype=dtype)(x)
        y = layers.BatchNormalization()(y + layers.Softmax()(y))
        inner = keras.Sequential([layers.Flatten(), layers.Dense(3, "softmax")])
        return keras.Model(x, Affine()(inner(layers.Dropout(0.1)(y))))

    class Affine(layers.Layer):
        def build(self, shape):
            self.factor = self.add_weight(shape=shape[1:], initializer="ones")

        def call(self, x):
            return x * self.factor

    of_model, model = fingerprint.of_model, built()
    again = built()
    assert [a.name for a in model.layers] != [b.name for b in again.layers]
    assert of_model(model) == of_model(again)
    again.compile("sgd", "mse")
    again.predict(np.zeros((2, 4, 4, 3)), verbose=0)
    assert of_model(model) == of_model(again)
    others = [built("gelu"), built(seed=1), built(dtype="mixed_float16")]
    others += [built(strides=4), built()]
    others[-1].layers[1].trainable = False
    assert len({of_model(m) for m in (model, *others)}) == 6


def test_a_model_that_cannot_be_saved_has_a_fingerprint_of_its_weights():
    class Unsaved(layers.Layer):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def call(self, x):
            return self.function(x)

    def built(seed):
        keras.utils.set_random_seed(seed)
        return ends_in(Unsaved(lambda x: x + 1))

    first, second, other = (fingerprint.of_model(built(s)) for s in (0, 0, 1))
    assert first == second != other


def test_running_statistics_settle_in_a_short_training():
    x = y = keras.Input((4,))
    for name, arguments in [("slow", dict(momentum=0.999)), ("fast", dict(momentum=0))]:
        y = layers.BatchNormalization(name=name, **arguments)(y)
    model = keras.Model(x, y)
    before, after = trainings.settle(model, steps=10)
    assert before == 0.999
    assert model.get_layer("slow").momentum ** 10 == pytest.approx(0.01)
    assert model.get_layer("fast").momentum == 0
    values = np.full((8, 4), 5.0)
    for _ in range(10):
        model(values, training=True)
    mean = keras.ops.convert_to_numpy(model.get_layer("slow").moving_mean)
    np.testing.assert_allclose(mean, 5, rtol=0.02)
    assert trainings.settle(model, steps=10) is None


def test_bytes_are_scaled_unless_the_model_does_it():
    x = np.array([[0, 255]], "uint8")
    y = keras.Input((2,))
    rescaling = keras.Model(y, layers.Rescaling(1 / 255)(y))
    for model, pixels, wanted in [
        (classifier(), "auto", [0, 1]),
        (rescaling, "auto", [0, 255]),
        (classifier(), "-1..1", [-1, 1]),
    ]:
        pixels = trainings.pixel_range(model, pixels)
        np.testing.assert_allclose(trainings.scaled(x, pixels), [wanted], atol=1e-6)
    floats = np.ones((1, 2), "float32")
    assert trainings.scaled(floats, "-1..1") is floats
    with pytest.raises(UsageError, match="Unknown range of pixels"):
        trainings.pixel_range(classifier(), "0..2")


def test_latency_is_compared_in_the_mode_the_model_runs_fastest_in():
    def entry(mode, median, spread=1):
        spread = {"q25_ms": median - spread, "q75_ms": median + spread}
        return {"batch": 32, "mode": mode, "median_ms": median, **spread}

    def row(name, graph, compiled, spread=1):
        latency = [entry("graph", graph, spread), entry("XLA", compiled)]
        return {"name": name, "latency": latency}

    rows = [row("as it is", 10, 100), row("LN-G 8", 15, 90), row("LN-G 8, int8", 1, 1)]
    rows.insert(2, row("LN-G 4", 15, 90, spread=5))
    table = CostTable(rows, {}, {})
    assert answers.latency_ratios(table) == {"8": {32: "x1.50"}, "4": {32: "≈x1.50"}}
