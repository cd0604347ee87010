"""The swap on models that others wrote, from random weights."""

import keras
import numpy as np
import pytest

import zoo
from lng_keras.swap import find_normalizations, swap_normalization

pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning",
    # KerasHub and KerasCV, on import.
    "ignore::DeprecationWarning",
    "ignore::UserWarning",
)


def application(name):
    return getattr(keras.applications, name)(
        weights=None, input_shape=(32, 32, 3), classes=3
    )


def hub_vit():
    models = pytest.importorskip("keras_hub", exc_type=ImportError).models
    return models.ViTBackbone(
        image_shape=(16, 16, 3),
        patch_size=8,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        mlp_dim=32,
    )


def hub_bert():
    models = pytest.importorskip("keras_hub", exc_type=ImportError).models
    return models.BertBackbone(
        vocabulary_size=10,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=8,
    )


def hub_vit_classifier():
    models = pytest.importorskip("keras_hub", exc_type=ImportError).models
    return models.ViTImageClassifier(hub_vit(), num_classes=3, preprocessor=None)


def hub_resnet():
    models = pytest.importorskip("keras_hub", exc_type=ImportError).models
    return models.ResNetBackbone(
        input_conv_filters=[8],
        input_conv_kernel_sizes=[7],
        stackwise_num_filters=[64, 64],
        stackwise_num_blocks=[1, 1],
        stackwise_num_strides=[1, 2],
        block_type="bottleneck_block",
        image_shape=(32, 32, 3),
    )


def cv_resnet():
    models = pytest.importorskip("keras_cv", exc_type=ImportError).models
    return models.ResNetV2Backbone(
        stackwise_filters=[16, 32],
        stackwise_blocks=[2, 2],
        stackwise_strides=[1, 2],
        include_rescaling=True,
        input_shape=(32, 32, 3),
    )


def cv_vitdet():
    models = pytest.importorskip("keras_cv", exc_type=ImportError).models
    return models.ViTDetBackbone(
        include_rescaling=False,
        input_shape=(64, 64, 3),
        patch_size=16,
        window_size=2,
        embed_dim=16,
        depth=2,
        num_heads=2,
        global_attention_indices=[1],
        mlp_dim=32,
        out_chans=16,
    )


slow = pytest.mark.slow
# Each operation of each shape is compiled on its own: minutes for hundreds of layers.
# Layers of the same kinds are in the models above.
not_jax = pytest.mark.only("tensorflow", "torch", reason="JAX compiles it for minutes")
# What builds the model, and how many normalizations it has.
MODELS = [
    pytest.param(lambda: zoo.build("ln_net", norm="ln"), 4, id="zoo ln_net"),
    pytest.param(lambda: zoo.build("vit", norm="ln", depth=1), 3, id="zoo vit"),
    pytest.param(lambda: zoo.build("resnet_na", norm="bn"), 21, id="zoo resnet_na"),
    pytest.param(hub_vit, 5, id="KerasHub ViT"),
    pytest.param(hub_vit_classifier, 5, id="KerasHub ViT classifier"),
    pytest.param(hub_bert, 5, id="KerasHub BERT"),
    pytest.param(hub_resnet, 9, id="KerasHub ResNet"),
    pytest.param(cv_resnet, 13, id="KerasCV ResNetV2"),
    pytest.param(cv_vitdet, 6, id="KerasCV ViTDet"),
    *(
        pytest.param(lambda name=name: application(name), n, id=name, marks=marks)
        for name, n, marks in [
            ("MobileNetV3Small", 34, not_jax),
            ("ResNet50V2", 49, not_jax),
            ("ConvNeXtTiny", 23, slow),
            ("EfficientNetV2B0", 59, slow),
        ]
    ),
]


def data_for(model):
    rng = np.random.default_rng(0)

    def one(tensor):
        shape = [2, *(size or 8 for size in tensor.shape[1:])]
        if "int" in tensor.dtype:
            return rng.integers(0, 2, shape).astype(tensor.dtype)
        return rng.normal(size=shape).astype("float32")

    return keras.tree.map_structure(one, model.input)


def run(model, x):
    outputs = keras.tree.flatten(model(x))
    return [keras.ops.convert_to_numpy(y) for y in outputs]


def assert_equal(actual, desired):
    for a, b in zip(actual, desired, strict=True):
        np.testing.assert_array_equal(a, b)


def other_weights(model):
    norms = {id(v) for _, n in find_normalizations(model) for v in n.layer.weights}
    weights = [w for w in model.weights if id(w) not in norms]
    return [keras.ops.convert_to_numpy(w.value) for w in weights]


@pytest.mark.parametrize(("build", "count"), MODELS)
def test_swaps_trains_saves_and_loads(build, count, tmp_path):
    keras.utils.set_random_seed(0)
    model = build()
    x = data_for(model)
    before = run(model, x)
    swapped, report = swap_normalization(model)
    assert len(report.replaced) == len(report.rows) == count
    assert_equal(run(model, x), before)
    assert_equal(other_weights(swapped), other_weights(model))

    restored, _ = report.restore(swapped)
    assert_equal(run(restored, x), before)

    targets = keras.tree.map_structure(
        lambda y: keras.ops.convert_to_numpy(y) + 1, swapped(x)
    )
    changed = run(swapped, x)
    # XLA would compile half a minute for the one step; JAX knows no other way.
    jit = keras.config.backend() == "jax"
    swapped.compile("sgd", "mse", metrics=[], jit_compile=jit)
    swapped.fit(x, targets, batch_size=2, verbose=0)
    after = run(swapped, x)
    assert not all(np.array_equal(a, b) for a, b in zip(after, changed, strict=True))
    assert all(np.isfinite(y).all() for y in after)

    swapped.save(tmp_path / "model.keras")
    assert_equal(run(keras.models.load_model(tmp_path / "model.keras"), x), after)
    assert_equal(run(model, x), before)
