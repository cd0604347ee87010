"""The Transformer: its shape, what sees what, saving, swapping, refusals."""

import keras
import numpy as np
import pytest

import zoo
from lng_keras import swap_normalization
from zoo.models import norms, transformer

# Keras' conversion to numpy under NumPy 2, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")

TINY = dict(num_classes=11, depth=2, width=8, heads=2)


def tiny(norm="lng", **arguments):
    if norm == "lng":
        arguments = {"group_size": 4, **arguments}
    return zoo.build("transformer", norm, **{**TINY, **arguments})


def pairs(seed=0):
    rng = np.random.default_rng(seed)
    source = rng.integers(1, 11, (3, 5)).astype("int32")
    target = rng.integers(1, 11, (3, 4)).astype("int32")
    return source, target


def logits(model, source, target):
    return keras.ops.convert_to_numpy(model([source, target], training=False))


@pytest.mark.parametrize("norm", [name for name in norms.NAMES if name != "in"])
def test_a_subword_is_told_of_those_before_it_and_of_the_whole_source(norm):
    model = tiny(norm, **({"groups": 2} if norm == "gn" else {}))
    source, target = pairs()
    before = logits(model, source, target)
    assert before.shape == (3, 4, 11)
    later = target.copy()
    later[:, 2] = later[:, 2] % 10 + 1
    after = logits(model, source, later)
    np.testing.assert_allclose(after[:, :2], before[:, :2], atol=1e-6)
    assert np.abs(after[:, 2:] - before[:, 2:]).max() > 1e-3
    source[:, -1] = source[:, -1] % 10 + 1
    assert np.abs(logits(model, source, target)[:, 0] - before[:, 0]).max() > 1e-5


@pytest.mark.parametrize("position", ["pre", "post"])
def test_padding_changes_nothing(position):
    model = tiny(norm_position=position)
    source, target = pairs()
    padded = [np.pad(ids, ((0, 0), (0, 3))) for ids in (source, target)]
    np.testing.assert_allclose(
        logits(model, *padded)[:, :4], logits(model, source, target), atol=1e-5
    )


def test_places_of_the_norms():
    for position, count in (("pre", 2 * (2 + 3) + 2), ("post", 2 * (2 + 3))):
        model = tiny(norm_position=position)
        names = [layer.name for layer in model.layers if "norm" in layer.name]
        assert len(names) == count
        assert ("decoder_final_norm" in names) == (position == "pre")


def test_parameters_are_those_of_the_literature():
    # Vaswani et al., table 3: 65 million, with about 37,000 subwords.
    with keras.StatelessScope():
        model = zoo.build("transformer_base", "ln", num_classes=37_000)
    counted = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    width, hidden = 512, 2048
    attention = 4 * (width * width + width)
    mlp = width * hidden + hidden + hidden * width + width
    sides = 6 * (attention + mlp + 4 * width) + 6 * (2 * attention + mlp + 6 * width)
    assert counted == 37_000 * width + sides + 4 * width
    assert 60e6 < counted < 66e6


def test_positions_are_counted_from_the_start_that_is_given():
    layer = transformer.SinusoidalPositions()
    zeros = np.zeros((1, 6, 8), "float32")
    whole = keras.ops.convert_to_numpy(layer(zeros))
    assert len(np.unique(whole[0].round(5), axis=0)) == 6
    # sin(0) and cos(0), and position 3 by its formula, first and last frequency.
    np.testing.assert_allclose(whole[0, 0], [0, 0, 0, 0, 1, 1, 1, 1], atol=1e-6)
    wave = np.sin(3.0), np.sin(3 / 10_000**0.75), np.cos(3.0)
    np.testing.assert_allclose(whole[0, 3, [0, 3, 4]], wave, atol=1e-6)
    tail = keras.ops.convert_to_numpy(layer(zeros[:, :2], start=4))
    np.testing.assert_allclose(tail, whole[:, 4:], atol=1e-6)


def test_saved_model_gives_the_same_and_keeps_its_tokenizer(tmp_path):
    model = tiny(tokenizer="how text becomes subwords")
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(logits(loaded, *pairs()), logits(model, *pairs()))
    embedding = loaded.get_layer("embedding")
    assert embedding.tokenizer == "how text becomes subwords"


def test_swapped_normalization_keeps_everything_else():
    model = tiny("ln", tokenizer="kept")
    swapped, report = swap_normalization(model, group_size=4)
    assert len(report.replaced) == 12
    assert swapped.get_layer("embedding").tokenizer == "kept"
    names = [layer.name for layer in model.layers]
    assert [layer.name for layer in swapped.layers] == names
    before, after = (logits(m, *pairs()) for m in (model, swapped))
    assert np.abs(before - after).max() > 1e-3
    back, _ = swap_normalization(swapped, keras.layers.LayerNormalization)
    np.testing.assert_allclose(logits(back, *pairs()), before, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(heads=3), "`heads` must divide `width`"),
        (dict(width=0), "`width` must be >= 1"),
        (dict(norm_position="both"), "'pre' or 'post'"),
        (dict(norm="in"), "needs positions"),
        (dict(group_size=3), "layer 'encoder_block1_norm1'"),
        (dict(input_shape=(8, 8, 3)), "takes text"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        tiny(**arguments)
    assert "\n" not in str(error.value)


def test_programs_that_classify_images_do_not_offer_it():
    with pytest.raises(AttributeError, match="its models are vit, .*ln_net, its"):
        _ = zoo.transformer
