"""RMS normalizations of language models, known by what they compute."""

import keras
import numpy as np
import pytest

from lng_keras import GroupLayerNormalization
from lng_keras.swap import find_normalizations, swap_normalization
from lng_keras.swap.rms import offset
from tests.lng_keras.small_models import array, disturb, inputs, run

layers, ops = keras.layers, keras.ops
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",
    "ignore::DeprecationWarning",  # KerasHub, on import
    "ignore::UserWarning",
)


class FamilyNorm(layers.Layer):
    """As KerasHub writes them; `kind` says how one differs from T5's."""

    def __init__(self, epsilon=1e-3, kind="t5", **kwargs):
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.kind = kind

    def build(self, shape):
        start = "zeros" if self.kind == "gemma" else "ones"
        self.weight = self.add_weight(shape=shape[-1:], initializer=start, name="w")

    def call(self, x):
        if self.kind == "centered":
            x = x - ops.mean(x, axis=-1, keepdims=True)
        squares = ops.mean(ops.square(x), axis=-1, keepdims=True)
        if self.kind == "outside":
            return x / (ops.sqrt(squares) + self.epsilon) * self.weight
        gamma = self.weight + 1 if self.kind == "gemma" else self.weight
        return x * ops.rsqrt(squares + self.epsilon) * gamma


def model(**arguments):
    x = keras.Input((4, 8))
    y = FamilyNorm(name="norm", **arguments)(layers.Dense(8)(x))
    return disturb(keras.Model(x, layers.Dense(2)(y)))


@pytest.mark.parametrize(
    ("kind", "added"),
    [("t5", 0.0), ("gemma", 1.0), ("centered", None), ("outside", None)],
)
@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_a_norm_is_known_by_what_it_computes(kind, added, dtype):
    layer = model(kind=kind, dtype=dtype).get_layer("norm")
    if dtype == "mixed_bfloat16" and kind == "outside":
        pytest.skip("bfloat16 rounds more than where epsilon stands makes out")
    assert offset(layer) == added


@pytest.mark.parametrize("kind", ["t5", "gemma"])
def test_weights_are_carried_exactly_there_and_back(kind):
    original = model(kind=kind)
    x = inputs(2, 4, 8)
    weight = array(original.get_layer("norm").weight)
    gamma = weight + np.float32(1) if kind == "gemma" else weight
    whole, _ = swap_normalization(original, groups=1)
    np.testing.assert_allclose(run(whole, x), run(original, x), rtol=1e-5, atol=1e-6)

    swapped, report = swap_normalization(original, group_size=4)
    new = swapped.get_layer("norm")
    assert type(new) is GroupLayerNormalization
    assert (new.subtract_mean, new.center, new.epsilon) == (False, False, 1e-3)
    np.testing.assert_array_equal(array(new.gamma), gamma)
    assert (report.rows[0].carried, report.rows[0].lost) == (["gamma"], {})

    restored, _ = report.restore(swapped)
    assert type(restored.get_layer("norm")) is FamilyNorm
    np.testing.assert_array_equal(run(restored, x), run(original, x))


def test_a_swap_that_replaced_nothing_says_so_first():
    _, report = swap_normalization(model(kind="centered"))
    assert str(report).startswith("Nothing was replaced. 1 normalizations: 0 replaced")
    assert "FamilyNorm is not a normalization known here" in str(report)
    _, report = swap_normalization(model(kind="t5"))
    assert "Nothing was replaced" not in str(report)


def backbones():
    hub = pytest.importorskip("keras_hub", exc_type=ImportError).models
    small = dict(vocabulary_size=10, num_layers=1, intermediate_dim=16)
    decoder = dict(small, num_query_heads=2, num_key_value_heads=1, hidden_dim=8)
    yield "RMSNormalization", hub.GemmaBackbone, dict(decoder, head_dim=4)
    yield "LlamaLayerNorm", hub.LlamaBackbone, decoder
    yield "T5LayerNorm", hub.T5Backbone, dict(small, num_heads=2, hidden_dim=8)


@pytest.mark.parametrize("number", range(3), ids=["Gemma", "Llama", "T5"])
def test_language_models_of_keras_hub_are_swapped_whole(number):
    name, cls, arguments = list(backbones())[number]
    original = cls(**arguments)
    found = [norm for _, norm in find_normalizations(original)]
    assert {type(norm.layer).__name__ for norm in found} == {name}
    tokens = {
        tensor.name: np.ones((1, 4), tensor.dtype)
        for tensor in keras.tree.flatten(original.input)
    }

    def outputs(model):
        return [ops.convert_to_numpy(y) for y in keras.tree.flatten(model(tokens))]

    before = outputs(original)
    whole, report = swap_normalization(original, groups=1)
    assert len(report.replaced) == len(report.rows) >= 3
    for after in (outputs(whole), outputs(report.restore(whole)[0])):
        for a, b in zip(before, after, strict=True):
            np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-5)
