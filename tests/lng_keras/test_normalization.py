"""The layers as Keras users meet them: corners, contract, saving, errors."""

import re

import keras
import numpy as np
import pytest
from keras import layers, ops

import lng_keras
from lng_keras import GroupLayerNormalization, PositionalGroupLayerNormalization
from tests.lng_keras import reference
from tests.lng_keras.gradients import to_numpy, value_and_vjp

BACKEND = keras.backend.backend()

# (class, arguments, input shape without the batch): a new layer is a new row.
LAYERS = [
    (GroupLayerNormalization, {"groups": 2}, (8,)),
    (GroupLayerNormalization, {"group_size": 4, "epsilon": 1e-3}, (3, 8)),
    (GroupLayerNormalization, {"groups": 2, "axis": (1, 2, 3)}, (3, 4, 8)),
    (GroupLayerNormalization, {"groups": 2, "axis": (2, 3, 1)}, (8, 3, 4)),
    (GroupLayerNormalization, {"scale": False, "axis": [1, 2]}, (3, 8)),
    (GroupLayerNormalization, {"center": False, "subtract_mean": False}, (8,)),
    (PositionalGroupLayerNormalization, {"group_size": 4}, (3, 4, 8)),
    (
        PositionalGroupLayerNormalization,
        {"groups": 2, "data_format": "channels_first"},
        (8, 3, 4),
    ),
]
rows = pytest.mark.parametrize(("cls", "arguments", "shape"), LAYERS)


def normal(*shape, seed=0, dtype="float32"):
    return np.random.default_rng(seed).normal(size=shape).astype(dtype)


def random_weights(layer, seed=1):
    """gamma and beta away from 1 and 0, so that a wrong layout of them shows."""
    for i, weight in enumerate(layer.weights):
        weight.assign(normal(*weight.shape, seed=seed + i))


def built(cls, arguments, shape, **kwargs):
    layer = cls(**arguments, **kwargs)
    layer.build((None, *shape))
    random_weights(layer)
    return layer


def assert_same_layer(ours, theirs, x, tolerance=2e-5):
    """Equal values and gradients, with the weights of one copied to the other."""
    theirs.build(x.shape)
    random_weights(theirs)
    ours.build(x.shape)
    ours.set_weights(theirs.get_weights())
    dy = normal(*x.shape, seed=5)
    found = value_and_vjp(ours, (x,), dy)
    wanted = value_and_vjp(theirs, (x,), dy)
    np.testing.assert_allclose(found[0], wanted[0], atol=tolerance)
    np.testing.assert_allclose(found[1][0], wanted[1][0], atol=tolerance)


def test_one_group_is_layer_normalization():
    assert_same_layer(
        GroupLayerNormalization(groups=1),
        layers.LayerNormalization(epsilon=1e-5),
        normal(4, 3, 8),
    )


@pytest.mark.parametrize(
    ("axis", "channel_axis", "shape"),
    [
        ((1, 2, 3), -1, (2, 3, 4, 8)),
        ((2, 3, 1), 1, (2, 8, 3, 4)),
        ((1, 2), -1, (2, 3, 8)),
    ],
)
def test_all_axes_is_group_normalization(axis, channel_axis, shape):
    assert_same_layer(
        GroupLayerNormalization(groups=2, axis=axis),
        layers.GroupNormalization(2, axis=channel_axis, epsilon=1e-5),
        normal(*shape),
    )


def test_group_size_one_over_space_is_instance_normalization():
    assert_same_layer(
        GroupLayerNormalization(group_size=1, axis=(1, 2, 3)),
        layers.GroupNormalization(-1, epsilon=1e-5),
        normal(2, 5, 4, 6),
    )


def test_without_the_mean_is_rms_normalization():
    ours = GroupLayerNormalization(groups=1, subtract_mean=False, center=False)
    theirs = layers.RMSNormalization(epsilon=1e-5)
    assert_same_layer(ours, theirs, normal(4, 8))


@pytest.mark.parametrize("data_format", ["channels_last", "channels_first"])
def test_positional_form_normalizes_each_position_as_a_row(data_format):
    x = normal(2, 3, 4, 8)
    rows_layer = built(GroupLayerNormalization, {"groups": 2}, (8,))
    wanted = to_numpy(rows_layer(x.reshape(-1, 8))).reshape(x.shape)
    layer = PositionalGroupLayerNormalization(groups=2, data_format=data_format)
    if data_format == "channels_first":
        x, wanted = np.moveaxis(x, -1, 1), np.moveaxis(wanted, -1, 1)
    layer.build(x.shape)
    layer.set_weights(rows_layer.get_weights())
    np.testing.assert_allclose(to_numpy(layer(x)), wanted, atol=1e-5)


def test_default_is_groups_of_eight_channels():
    x = normal(4, 24)
    wanted = GroupLayerNormalization(group_size=8)(x)
    np.testing.assert_array_equal(
        to_numpy(GroupLayerNormalization()(x)), to_numpy(wanted)
    )


def test_output_is_invariant_to_shift_and_scale_of_each_group():
    x = normal(4, 8)
    layer = built(GroupLayerNormalization, {"group_size": 4, "epsilon": 1e-12}, (8,))
    moved = x.copy()
    moved[:, :4] = 3 * moved[:, :4] + 5
    np.testing.assert_allclose(to_numpy(layer(moved)), to_numpy(layer(x)), atol=1e-4)


@rows
def test_config_is_unchanged_by_build_and_revives_the_layer(cls, arguments, shape):
    layer = cls(**arguments)
    before = layer.get_config()
    layer.build((None, *shape))
    assert layer.get_config() == before
    for name, value in arguments.items():
        assert before[name] == value
    revived = cls.from_config(before)
    assert revived.get_config() == before


@rows
def test_saved_model_answers_the_same(cls, arguments, shape, tmp_path):
    layer = built(cls, arguments, shape)
    inputs = keras.Input(shape)
    model = keras.Model(inputs, layer(inputs))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = normal(2, *shape)
    np.testing.assert_array_equal(to_numpy(loaded(x)), to_numpy(model(x)))


@rows
def test_shapes_and_dtypes(cls, arguments, shape):
    layer = built(cls, arguments, shape)
    assert layer.compute_output_shape((None, *shape)) == (None, *shape)
    symbolic = layer(keras.KerasTensor((None, *shape), dtype="float32"))
    assert symbolic.shape == (None, *shape)
    policies = ["float32", "mixed_bfloat16", "mixed_float16"]
    if BACKEND != "jax":  # which has float64 only by a switch of its own
        policies.append("float64")
    for policy in policies:
        layer = built(cls, arguments, shape, dtype=policy)
        y = layer(normal(2, *shape))
        assert keras.backend.standardize_dtype(y.dtype) == layer.compute_dtype
        assert tuple(y.shape) == (2, *shape)
        assert np.isfinite(to_numpy(ops.cast(y, "float32"))).all()


@rows
def test_compiled_and_eager_agree(cls, arguments, shape):
    layer = built(cls, arguments, shape)
    model = keras.Sequential([keras.Input(shape), layer])
    x = normal(4, *shape)
    # torch.compile is tried on one layer, below: it takes a minute for each.
    for jit in (False, True) if BACKEND != "torch" else (False,):
        model.compile(jit_compile=jit)
        np.testing.assert_allclose(
            model.predict(x, verbose=0), to_numpy(layer(x)), atol=2e-6
        )


@rows
def test_a_batch_of_unknown_size_has_the_same_gradients(cls, arguments, shape):
    x, trained = normal(4, *shape), []
    for inputs in (keras.Input(shape), keras.Input(batch_shape=x.shape)):
        layer = built(cls, arguments, shape)
        before = layer.get_weights()
        # Weights before the layer too, so that the gradient of its input is needed.
        scaled = GroupLayerNormalization(groups=1)(inputs)
        model = keras.Model(inputs, layer(scaled))
        model.compile(keras.optimizers.SGD(0.1), "mse", jit_compile=False)
        # Keras passes a batch that is not full as one of unknown size.
        size = None if inputs.shape[0] is None else len(x)
        model.fit(x, normal(*x.shape, seed=3), batch_size=size, verbose=0)
        trained.append(model.get_weights())
    for unknown, known in zip(*trained, strict=True):
        np.testing.assert_allclose(unknown, known, atol=1e-6)
    moved = trained[0][-len(before) :]
    assert all((a != b).any() for a, b in zip(moved, before, strict=True))


def test_sizes_but_the_channels_may_be_unknown():
    for axis in (-1, (1, 2, 3), (1, 3)):
        inputs = keras.Input((None, None, 8))
        layer = GroupLayerNormalization(groups=2, axis=axis)
        model = keras.Model(inputs, layer(inputs))
        random_weights(layer)
        for shape in ((2, 3, 4, 8), (1, 5, 2, 8)):
            x = normal(*shape)
            np.testing.assert_allclose(
                model.predict(x, verbose=0), to_numpy(layer(x)), atol=2e-6
            )


def test_mixed_precision_keeps_float32_inputs_above_the_float16_range():
    layer = GroupLayerNormalization(groups=1, dtype="mixed_float16")
    x = np.array([[1e5, 2e5, 3e5, 4e5]], "float32")
    y = to_numpy(layer(x)).astype("float32")
    wanted = to_numpy(GroupLayerNormalization(groups=1)(x))
    np.testing.assert_allclose(y, wanted, atol=2e-3)


def test_float16_input_is_not_rounded_under_a_float32_policy():
    x = normal(3, 8).astype("float16")
    layer = GroupLayerNormalization(groups=2)
    y = layer(ops.convert_to_tensor(x))
    assert keras.backend.standardize_dtype(y.dtype) == "float32"
    np.testing.assert_allclose(
        to_numpy(y), to_numpy(layer(x.astype("float32"))), atol=1e-6
    )


def test_mask_passes_through():
    inputs = keras.Input((3,), dtype="int32")
    x = layers.Embedding(5, 8, mask_zero=True)(inputs)
    y = GroupLayerNormalization(groups=2)(x)
    # Pooling leaves out what is masked: only if the mask comes through.
    mean = keras.Model(inputs, layers.GlobalAveragePooling1D()(y))
    tokens = np.array([[1, 2, 0], [3, 0, 0]], "int32")
    each = to_numpy(keras.Model(inputs, y)(tokens))
    wanted = [each[0, :2].mean(0), each[1, 0]]
    np.testing.assert_allclose(to_numpy(mean(tokens)), wanted, atol=1e-6)


def test_one_layer_serves_two_calls():
    shared = GroupLayerNormalization(groups=2)
    a, b = keras.Input((8,)), keras.Input((8,))
    model = keras.Model([a, b], [shared(a), shared(b)])
    random_weights(shared)
    x, other = normal(2, 8), normal(2, 8, seed=3)
    first, second = model.predict([x, other], verbose=0)
    np.testing.assert_allclose(first, to_numpy(shared(x)), atol=2e-6)
    np.testing.assert_allclose(second, to_numpy(shared(other)), atol=2e-6)
    assert len(model.weights) == 2


# Keras warns that neither the input layer nor a norm has integer weights.
@pytest.mark.filterwarnings("ignore:.*`quantize` method:UserWarning")
def test_clone_and_quantize_of_a_model_around_it():
    model = keras.Sequential(
        [keras.Input((8,)), layers.Dense(8), GroupLayerNormalization(groups=2)]
    )
    clone = keras.models.clone_model(model)
    clone.set_weights(model.get_weights())
    x = normal(4, 8)
    wanted = to_numpy(model(x))
    np.testing.assert_array_equal(to_numpy(clone(x)), wanted)
    clone.quantize("int8")
    # int8 weights of a Dense layer: about 1/127 of values of a few units.
    np.testing.assert_allclose(to_numpy(clone(x)), wanted, atol=0.1)


def test_a_step_follows_the_gradients_the_regularizer_and_the_constraint():
    rate, penalty = 0.5, 0.1
    layer = GroupLayerNormalization(
        groups=2,
        gamma_regularizer=keras.regularizers.L2(penalty),
        beta_constraint=keras.constraints.NonNeg(),
    )
    model = keras.Sequential([keras.Input((8,)), layer])
    random_weights(layer)
    gamma, beta = layer.get_weights()
    x, y = normal(16, 8), normal(16, 8, seed=2)
    dy = 2 * (to_numpy(layer(x)) - y) / y.size  # of the mean squared error
    _, dgamma, dbeta = reference.gradients(x, gamma, dy, 2, (1,))
    model.compile(keras.optimizers.SGD(rate), "mse")
    model.fit(x, y, batch_size=16, verbose=0)
    stepped = beta - rate * dbeta
    assert (stepped < 0).any()
    wanted = (gamma - rate * (dgamma + 2 * penalty * gamma), np.maximum(stepped, 0))
    for found, weight in zip(layer.get_weights(), wanted, strict=True):
        np.testing.assert_allclose(found, weight, atol=1e-6)


def test_function_is_an_operation_of_a_functional_model(tmp_path):
    inputs = keras.Input((None, 8))
    outputs = lng_keras.group_layer_normalization(inputs, groups=2, axis=-1)
    model = keras.Model(inputs, outputs)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", safe_mode=True)
    x = normal(2, 3, 8)
    wanted = to_numpy(lng_keras.group_layer_normalization(x, groups=2))
    np.testing.assert_array_equal(to_numpy(loaded(x)), wanted)


CONSTRUCTION_ERRORS = [
    ({"groups": 2, "group_size": 4}, "not both. Received: groups=2, group_size=4"),
    ({"groups": 0}, "`groups` must be an int >= 1. Received: groups=0"),
    ({"groups": True}, "`groups` must be an int >= 1. Received: groups=True"),
    ({"group_size": 2.0}, "`group_size` must be an int >= 1. Received: group_size=2.0"),
    ({"axis": "channels"}, "an int or a sequence of ints. Received: axis=channels"),
    ({"axis": ()}, r"an int or a sequence of ints. Received: axis=\(\)"),
    ({"axis": (1, 1)}, r"must not repeat an axis. Received: axis=\(1, 1\)"),
    *(
        ({"epsilon": epsilon}, f"a finite number > 0. Received: epsilon={epsilon!r}")
        for epsilon in (0, -1e-5, None, "1e-5", True, float("inf"), float("nan"))
    ),
]


@pytest.mark.parametrize(("arguments", "message"), CONSTRUCTION_ERRORS)
def test_wrong_arguments_are_refused_at_construction(arguments, message):
    with pytest.raises(ValueError, match=message):
        GroupLayerNormalization(**arguments)
    with pytest.raises(ValueError, match=message):
        lng_keras.group_layer_normalization(normal(2, 8), **arguments)


@pytest.mark.parametrize("epsilon", [np.float32(1e-5), np.float64(1e-5), 1])
def test_epsilon_may_be_any_number(epsilon):
    assert GroupLayerNormalization(epsilon=epsilon).epsilon == epsilon


# On this map (16, 1) would scale positions and not channels.
@pytest.mark.parametrize("shape", [(16, 1), (1, 16), (15,), (1,), ()])
@pytest.mark.parametrize("name", ["gamma", "beta"])
def test_weights_of_another_shape_are_refused(name, shape):
    weights = {name: np.ones(shape, "float32")}
    message = rf"`{name}` must have the shape \(16,\).*{re.escape(str(shape))}"
    for x in (normal(2, 4, 4, 16), keras.Input((4, 4, 16))):
        with pytest.raises(ValueError, match=message) as error:
            lng_keras.group_layer_normalization(x, **weights, axis=(1, 2, 3))
        assert "\n" not in str(error.value)


def test_weights_of_unknown_size_are_taken():
    x, gamma = keras.Input((16,)), keras.KerasTensor((None,))
    assert lng_keras.group_layer_normalization(x, gamma).shape == (None, 16)


BUILD_ERRORS = [
    ({"groups": 3}, (2, 8), "must divide the number of channels. Received: groups=3"),
    ({"group_size": 3}, (2, 8), r"group_size=3, 8 channels. Choose one of \[1, 2, 4"),
    ({}, (2, 12), r"group_size=8 \(the default\), 12 channels"),
    ({"groups": 8}, (2, 8), "A group of one channel at one position"),
    ({"axis": 2}, (2, 8), "axes of the input. Received: axis=2 for an input of rank 2"),
    ({"axis": 0}, (2, 8), "must not include the batch axis 0. Received: axis=0"),
    ({"axis": (1, -1)}, (2, 8), "must not repeat an axis. Received: axis="),
    ({"groups": 2}, (2, None), "must have a known size. Received: input shape"),
]


@pytest.mark.parametrize(("arguments", "shape", "message"), BUILD_ERRORS)
def test_wrong_shapes_are_refused_at_build(arguments, shape, message):
    layer = GroupLayerNormalization(**arguments)
    with pytest.raises(ValueError, match=message):
        layer.build(shape)
    with pytest.raises(ValueError, match=message):
        layer.compute_output_shape(shape)


def test_positional_layer_refuses_wrong_arguments():
    with pytest.raises(ValueError, match="Received: data_format='NCHW'"):
        PositionalGroupLayerNormalization(data_format="NCHW")
    with pytest.raises(ValueError, match="use GroupLayerNormalization for `axis`"):
        PositionalGroupLayerNormalization(axis=1)


SEVERAL_RANKS = [
    (GroupLayerNormalization, {}, [(2, 8), (2, 3, 8), (2, 3, 1, 8), (2, 8)]),
    (GroupLayerNormalization, {"axis": (-2, -1)}, [(2, 3, 8), (2, 5, 3, 8)]),
    (GroupLayerNormalization, {"axis": 1}, [(2, 8, 3), (2, 8), (2, 8, 3, 3)]),
    (
        PositionalGroupLayerNormalization,
        {"data_format": "channels_first"},
        [(2, 8), (2, 8, 3, 2)],
    ),
]


@pytest.mark.parametrize(("cls", "arguments", "shapes"), SEVERAL_RANKS)
def test_one_layer_takes_every_rank_on_which_its_axes_mean_the_same(
    cls, arguments, shapes
):
    layer = cls(groups=2, **arguments)
    for i, shape in enumerate(shapes):
        x = normal(*shape, seed=i)
        alone = cls(groups=2, **arguments)
        np.testing.assert_array_equal(to_numpy(layer(x)), to_numpy(alone(x)))
        symbolic = layer(keras.Input(shape[1:]))
        assert symbolic.shape == (None, *shape[1:])


def test_a_rank_on_which_axes_mean_something_else_is_refused():
    layer = built(GroupLayerNormalization, {"groups": 2, "axis": (1, 2, 3)}, (4, 4, 8))
    with pytest.raises(ValueError, match="expected ndim=4, found ndim=5"):
        layer(normal(2, 4, 4, 8, 8))
    layer = built(GroupLayerNormalization, {"groups": 2, "axis": (-2, -1)}, (4, 8))
    with pytest.raises(ValueError, match="expected min_ndim=3, found ndim=2"):
        layer(normal(4, 8))


def test_input_of_another_width_is_refused():
    layer = built(GroupLayerNormalization, {"groups": 2}, (8,))
    with pytest.raises(ValueError, match="expected axis"):
        layer(normal(2, 6))


@pytest.mark.only("torch", reason="torch's compiler")
@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_torch_compile_accepts_the_layer():
    import torch

    layer = built(GroupLayerNormalization, {"groups": 2}, (8,))
    x = torch.tensor(normal(4, 8))
    wanted = to_numpy(layer(x))
    found = torch.compile(layer)(x)
    np.testing.assert_allclose(to_numpy(found), wanted, atol=2e-6)
