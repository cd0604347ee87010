"""What follows a normalization, and which ones `where` selects by it."""

import keras
import pytest

from lng_keras import GroupLayerNormalization
from lng_keras._base.private.layers import flat
from lng_keras.swap import find_normalizations, swap_normalization
from lng_keras.swap.placement import placements
from tests.lng_keras import small_models
from tests.lng_keras.small_models import inputs

layers = keras.layers
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


def inverted_bottleneck():
    x = keras.Input((4, 4, 8))
    y = layers.Conv2D(16, 1)(x)
    y = layers.ReLU(6.0)(layers.BatchNormalization(name="expand")(y))
    y = layers.BatchNormalization(name="depthwise")(layers.DepthwiseConv2D(3)(y))
    gate = layers.Dense(16, activation="sigmoid")(layers.GlobalAveragePooling2D()(y))
    y = layers.Multiply()([y, layers.Reshape((1, 1, 16))(gate)])
    y = layers.Dropout(0.1)(layers.BatchNormalization(name="project")(y))
    y = layers.ZeroPadding2D(1)(y) + layers.Conv2D(16, 1)(x)
    y = layers.BatchNormalization(name="last")(layers.Conv2D(8, 1)(y))
    y = layers.Activation("linear")(y)
    return keras.Model(x, layers.Dense(2)(layers.GlobalAveragePooling2D()(y)))


class PostActivation(keras.Model):
    """Two residual units whose additions ReLU follows, after a norm of its own."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.convolutions = [layers.Conv2D(8, 1) for _ in range(4)]
        self.norms = [layers.BatchNormalization() for _ in range(4)]
        self.scale = self.add_weight(shape=(8,), initializer="ones")
        self.head = layers.Dense(2)

    def call(self, x, training=None):
        for i in (0, 2):
            y = self.norms[i](self.convolutions[i](x), training=training)
            y = self.convolutions[i + 1](keras.ops.relu(y))
            y = self.norms[i + 1](y, training=training) * self.scale
            x = keras.activations.relu(x + y)
        return self.head(keras.ops.mean(x, axis=(1, 2)))


def post_activation():
    model = PostActivation()
    model(inputs(2, 4, 4, 8))
    return model


def told(model):
    """Path -> (text, linear, residual), and why some are missing."""
    found, problem = placements(model)
    return {
        norm.path: (str(place), place.linear, place.residual)
        for _, norm in find_normalizations(model)
        if (place := found.get(id(norm.layer)))
    }, problem


def test_linear_is_what_meets_no_nonlinearity_before_the_next_linear_map():
    assert told(inverted_bottleneck()) == (
        {
            "expand": ("ReLU", False, False),
            "depthwise": ("Multiply, Dense", False, False),
            "project": ("addition, Conv2D", True, True),
            "last": ("Dense", True, False),
        },
        "",
    )


def test_subclassed_models_are_looked_into():
    assert told(post_activation()) == (
        {
            "norms[0]": ("relu", False, False),
            "norms[1]": ("addition, relu", False, True),
            "norms[2]": ("relu", False, False),
            "norms[3]": ("addition, relu", False, True),
        },
        "",
    )


@pytest.mark.parametrize(
    ("build", "count"),
    [(build, count) for build, _, count in small_models.MODELS.values()],
    ids=small_models.MODELS,
)
def test_it_is_told_of_norms_in_all_places_and_leaves_no_trace(build, count):
    model = build()

    def calls():
        return [len(layer._inbound_nodes) for layer in flat(model)]

    before = calls()
    found, problem = told(model)
    assert (len(found), problem) == (count, "")
    assert calls() == before


def _after(function):
    x = keras.Input((4, 8))
    norm = layers.LayerNormalization(name="norm")(layers.Dense(8)(x))
    other = layers.Dense(8)(x)
    return keras.Model(x, layers.Dense(2)(function(norm, other)))


@pytest.mark.parametrize(
    ("function", "linear"),
    [
        (lambda y, z: y * 2.0 - 1.0, True),
        (lambda y, z: keras.ops.concatenate([y, z]), True),
        (lambda y, z: layers.AveragePooling1D(2)(y), True),
        (lambda y, z: layers.LayerNormalization()(y), True),
        (lambda y, z: layers.TimeDistributed(layers.Dense(3))(y), True),
        (lambda y, z: layers.LSTM(3)(y), True),
        (lambda y, z: layers.MultiHeadAttention(2, 4)(z, y), True),
        (lambda y, z: layers.LayerNormalization()(keras.ops.gelu(y)), False),
        (lambda y, z: layers.TimeDistributed(layers.ReLU())(y), False),
        (lambda y, z: layers.MaxPooling1D(2)(y), False),
        (lambda y, z: y * z, False),
        (lambda y, z: y / z, False),
        (lambda y, z: keras.ops.matmul(y, keras.ops.transpose(z, (0, 2, 1))), False),
        (lambda y, z: layers.Activation("tanh")(y), False),
        (lambda y, z: layers.Dense(8)(y) + keras.ops.exp(y), False),
    ],
)
def test_each_kind_of_layer_and_operation_is_told(function, linear):
    ((_, told_linear, _),) = list(told(_after(function))[0].values())[:1]
    assert told_linear is linear


def test_where_takes_placements_beside_patterns():
    for where, replaced in [
        ("linear", ["project", "last"]),
        ("residual", ["project"]),
        (["residual", "exp*"], ["expand", "project"]),
        (lambda norm: "Dense" in norm.placement.ends, ["depthwise", "last"]),
    ]:
        swapped, report = swap_normalization(inverted_bottleneck(), where=where)
        assert [row.path for row in report.replaced] == replaced
        found = find_normalizations(swapped)
        new = [n.path for _, n in found if type(n.layer) is GroupLayerNormalization]
        assert new == replaced
    assert [row.follows for row in report.rows][2] == "addition, Conv2D"
    assert "addition, Conv2D" in str(report)
    swapped, report = swap_normalization(post_activation(), where="residual")
    assert [row.path for row in report.replaced] == ["norms[1]", "norms[3]"]


class Opaque(layers.Layer):
    """Computes with NumPy, which takes no tensors without numbers."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.norm = layers.LayerNormalization()

    def build(self, shape):
        self.norm.build(shape)

    def call(self, x):
        return self.norm(x) * keras.ops.convert_to_numpy(keras.ops.sum(x * 0) + 1)

    def compute_output_shape(self, shape):
        return shape


def test_what_cannot_be_looked_into_is_said_in_one_line():
    x = keras.Input((8,))
    y = layers.LayerNormalization(name="before")(Opaque(name="opaque")(x))
    y = layers.Dense(2)(layers.LayerNormalization(name="outer")(layers.Dense(8)(y)))
    model = keras.Model(x, y)
    found, problem = told(model)
    assert set(found) == {"before", "outer"}
    assert problem.startswith("Opaque cannot be looked into: ")
    _, report = swap_normalization(model, where="before")
    assert "what follows 1 of them is not known: Opaque" in report.summary()
    _, report = swap_normalization(model, where="linear")
    assert [row.path for row in report.replaced] == ["before", "outer"]

    lone = keras.Model(x, Opaque(name="opaque")(x))
    with pytest.raises(ValueError, match="cannot be told.*Name its.*opaque.norm") as e:
        swap_normalization(lone, where="linear")
    assert "\n" not in str(e.value)


def test_a_where_that_selects_nothing_is_refused_with_what_there_is():
    model = inverted_bottleneck()
    for where in ("stage2*", ["project", "stage2*"]):
        with pytest.raises(ValueError, match="stage2.*expand, depthwise, project, l"):
            swap_normalization(model, where=where)
    with pytest.raises(ValueError, match="in linear position.*addition, relu; relu"):
        swap_normalization(post_activation(), where="linear")
