"""The zoo: shapes, parameter counts, linearity, saving, layer names, refusals."""

import keras
import numpy as np
import pytest

import zoo
from zoo.models import norms

# Keras' conversion to numpy under NumPy 2, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")

# A small one of each: its arguments for `zoo.build`.
SMALL = {
    "vit": dict(depth=2, width=8, heads=2, patch_size=4),
    "resnet_na": dict(depth=8, width=8),
    "ln_net": dict(depth=2, width=8),
}
SHAPE = (8, 8, 3)


@pytest.fixture(autouse=True)
def seed():
    keras.utils.set_random_seed(0)


def small(name, norm, **arguments):
    arguments = {**SMALL[name], **arguments}
    return zoo.build(name, norm, num_classes=5, input_shape=SHAPE, **arguments)


def images(n=4, shape=SHAPE):
    return np.random.default_rng(0).normal(size=(n, *shape)).astype("float32")


def outputs(model, x, training=False):
    return keras.ops.convert_to_numpy(model(x, training=training))


def randomize(model):
    """Every weight random: a 0 offset or a variance of 1 would hide mistakes."""
    rng = np.random.default_rng(1)
    for weight in model.weights:
        if "seed" in weight.path:  # the state of a dropout
            continue
        value = rng.normal(size=weight.shape, scale=0.5)
        if "variance" in weight.path:
            value = np.abs(value) + 0.1
        weight.assign(value.astype("float32"))
    return model


@pytest.mark.parametrize("norm", norms.NAMES)
@pytest.mark.parametrize("name", SMALL)
def test_every_norm_gives_finite_logits(name, norm):
    if (name, norm) == ("ln_net", "in"):
        with pytest.raises(ValueError, match="needs positions"):
            small(name, norm)
        return
    y = outputs(small(name, norm), images())
    assert y.shape == (4, 5)
    assert np.isfinite(y).all()


@pytest.mark.parametrize("name", SMALL)
def test_logits_are_float32_under_mixed_precision(name):
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        model = small(name, "lng")
        y = model(images())
    finally:
        keras.config.set_dtype_policy(before)
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    hidden = model.layers[-2]
    assert hidden.compute_dtype == "bfloat16"


IMAGENET = dict(num_classes=1000, input_shape=(224, 224, 3))


@pytest.mark.parametrize(
    ("name", "arguments", "parameters"),
    [
        # He et al. give 0.27M and 1.7M for CIFAR; the exact numbers are those of
        # the common implementations with projection shortcuts.
        ("resnet_na", dict(depth=20), 272_474),
        ("resnet_na", dict(depth=110), 1_730_714),
        # torchvision's resnet18, resnet34 and resnet50.
        ("resnet_na", dict(depth=18, **IMAGENET), 11_689_512),
        pytest.param(
            *("resnet_na", dict(depth=34, **IMAGENET), 21_797_672),
            marks=pytest.mark.slow,
        ),
        ("resnet_na", dict(depth=50, **IMAGENET), 25_557_032),
        # timm's deit_tiny, deit_small and deit_base with patches of 16.
        ("vit_ti", IMAGENET, 5_717_416),
        pytest.param("vit_s", IMAGENET, 22_050_664, marks=pytest.mark.slow),
        ("vit_b", IMAGENET, 86_567_656),
    ],
)
def test_parameters_are_those_of_the_literature(name, arguments, parameters):
    # The shapes of the weights are enough; 87 million random numbers are not needed.
    norm = "ln" if name.startswith("vit") else "bn"
    with keras.StatelessScope():
        model = zoo.build(name, norm, **arguments)
    counted = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert counted == parameters


def curvature(model, shape=SHAPE):
    """How far the model is from affine along a line, relative to its outputs."""
    x, y = images(2, shape)
    # 2 x - y is on the line as well, so an even function does not pass. Four of
    # them, for the batch size of the other tests: nothing new to compile.
    a, b, c, _ = outputs(model, np.stack([x, y, 2 * x - y, x]))
    return np.abs(c - (2 * a - b)).max() / np.abs(c).max()


@pytest.mark.parametrize(
    ("depth", "norm"),
    [
        (8, "none"),
        (8, "bn"),
        (18, "bn"),
        pytest.param(50, "none", marks=pytest.mark.slow),
    ],
)
def test_resnet_without_activations_is_affine_but_for_its_norm(depth, norm):
    shape = (32, 32, 3)
    model = zoo.build("resnet_na", norm, depth=depth, width=4, input_shape=shape)
    # 1e-4: float32 rounding through up to 50 layers.
    assert curvature(randomize(model), shape) < 1e-4


@pytest.mark.parametrize("norm", ["ln", "ln_position", "gn", "lng", "lng_position"])
def test_resnet_without_activations_is_not_affine_with_a_per_example_norm(norm):
    assert curvature(randomize(small("resnet_na", norm))) > 1e-2


def test_resnet_with_relu_is_not_affine():
    assert curvature(randomize(small("resnet_na", "bn", activation="relu"))) > 1e-2


def test_ln_net_is_affine_but_for_its_norm():
    assert curvature(randomize(small("ln_net", "none"))) < 1e-4
    assert curvature(randomize(small("ln_net", "lng", group_size=4))) > 1e-2


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("vit", dict(pool="token", dropout=0.1, stochastic_depth=0.1)),
        ("vit", dict(pool="mean")),
        ("resnet_na", dict(activation="relu")),
        ("ln_net", {}),
    ],
)
@pytest.mark.parametrize("norm", ["bn", "lng", "none"])
def test_saved_model_gives_the_same_logits(tmp_path, name, arguments, norm):
    model = randomize(small(name, norm, **arguments))
    model.save(tmp_path / "model.keras")
    restored = keras.saving.load_model(tmp_path / "model.keras")
    x = images()
    np.testing.assert_array_equal(outputs(restored, x), outputs(model, x))


@pytest.mark.parametrize(
    ("name", "norm"), [("vit", "lng"), ("resnet_na", "lng_position"), ("ln_net", "ln")]
)
def test_one_compiled_step_moves_every_weight(name, norm):
    arguments = dict(pool="token") if name == "vit" else {}
    model = randomize(small(name, norm, **arguments))
    # torch compiles for a minute what the others compile in a second.
    jit = keras.backend.backend() != "torch"
    model.compile(
        keras.optimizers.SGD(0.1),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        jit_compile=jit,
    )
    before = [w.numpy() for w in model.trainable_weights]
    model.fit(images(), np.array([0, 1, 2, 3]), verbose=0)
    for weight, old in zip(model.trainable_weights, before, strict=True):
        if weight.path.endswith("key/bias"):
            continue  # softmax does not see what all keys share
        assert np.abs(weight.numpy() - old).max() > 0, weight.path
    compiled = model.predict(images(), verbose=0)
    np.testing.assert_allclose(compiled, outputs(model, images()), atol=1e-4)


def test_layer_names_are_stable_keys():
    names = {layer.name for layer in small("resnet_na", "bn").layers}
    unit = "stage2_unit1_"
    expected = ["conv1", "norm1", "conv2", "norm2", "shortcut_conv", "shortcut_norm"]
    assert {n for n in names if n.startswith(unit)} == {
        unit + n for n in (*expected, "add")
    }
    assert {"stem_conv", "stem_norm", "pool", "logits"} <= names
    relu = {x.name for x in small("resnet_na", "bn", activation="relu").layers}
    assert relu - names == {"stem_activation"} | {
        f"stage{s}_unit1_activation{i}" for s in (1, 2, 3) for i in (1, 2)
    }
    names = {layer.name for layer in small("vit", "ln").layers}
    block = "norm1 attention add1 norm2 mlp_hidden mlp_output add2".split()
    assert names == {
        *"images patches tokens positions final_norm pool logits".split(),
        *(f"block{i}_{part}" for i in (1, 2) for part in block),
    }


def test_norm_is_called_once_for_each_name():
    made = []

    def norm(name):
        made.append(name)
        return keras.layers.LayerNormalization(name=name)

    small("vit", norm)
    assert made == [f"block{b}_norm{i}" for b in (1, 2) for i in (1, 2)] + [
        "final_norm"
    ]


def test_stochastic_depth_drops_whole_examples_and_grows_with_depth():
    model = small("vit", "ln", stochastic_depth=0.5, depth=3)
    assert "block1_drop_path1" not in {layer.name for layer in model.layers}
    assert model.get_layer("block2_drop_path1").rate == 0.25
    last = model.get_layer("block3_drop_path2")
    assert last.rate == 0.5
    y = keras.ops.convert_to_numpy(last(np.ones((64, 2, 8), "float32"), training=True))
    kept = y.reshape(64, -1)
    assert ((kept == 0).all(1) | (kept == 2).all(1)).all()
    assert 0 < (kept == 2).all(1).mean() < 1


def test_default_patch_is_4_for_small_images_and_16_for_large():
    assert zoo.build("vit", "ln").get_layer("patches").kernel_size == (4, 4)
    with keras.StatelessScope():
        large = zoo.build("vit", "ln", input_shape=(224, 224, 3))
    assert large.get_layer("patches").kernel_size == (16, 16)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (dict(name="resnet"), "Unknown model.*'resnet'.*vit, .*resnet_na, ln_net"),
        (dict(name="vit", norm="lgn"), "Unknown norm"),
        (dict(name="ln_net", patch_size=4), "'ln_net'.*'patch_size'.*depth, width"),
        (dict(name="vit", group_size=7), "vit, layer 'block1_norm1'.*divide.*64"),
        (
            dict(name="resnet_na", group_size=16, width=8),
            "resnet_na, layer 'stem_norm'.*group_size=16.*8 channels",
        ),
        (dict(name="vit", norm="ln", groups=2), "'ln' has no groups"),
        (dict(name="vit", norm=keras.layers.Identity, groups=2), "given by name"),
        (dict(name="vit", patch_size=5), "divide.*patch_size=5.*32 x 32"),
        (dict(name="vit", heads=3), "heads=3, width=64"),
        (dict(name="vit", pool="max"), "pool='max'"),
        (dict(name="vit", depth=0), "depth=0"),
        (dict(name="resnet_na", depth=9), "6n . 2.*18, 34, 50.*depth=9"),
        (dict(name="resnet_na", width=0), "width=0"),
        (dict(name="ln_net", depth=0), "depth=0"),
    ],
)
def test_bad_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        zoo.build(**arguments)
    assert "\n" not in str(error.value)


def test_each_stage_halves_the_map_once():
    model = zoo.build("resnet_na", "bn", depth=8, width=2)
    sizes = [model.get_layer(f"stage{s}_unit1_add").output.shape[1:] for s in (1, 2, 3)]
    assert sizes == [(32, 32, 2), (16, 16, 4), (8, 8, 8)]
    shape = (64, 64, 3)
    model = zoo.build("resnet_na", "bn", depth=18, width=2, input_shape=shape)
    stages = (1, 2, 3, 4)
    sizes = [model.get_layer(f"stage{s}_unit2_add").output.shape[1:] for s in stages]
    assert sizes == [(16, 16, 2), (8, 8, 4), (4, 4, 8), (2, 2, 16)]


def test_class_token_is_the_one_that_is_read():
    model = small("vit", "ln", pool="token")
    model.get_layer("class_token").token.assign(np.full((1, 1, 8), 3.0, "float32"))
    probe = keras.Model(model.input, model.get_layer("class_token").output)
    tokens = np.array(outputs(probe, images()))
    pooled = outputs(model.get_layer("pool"), tokens)
    np.testing.assert_array_equal(pooled, np.full((4, 8), 3.0))
