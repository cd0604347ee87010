"""Claims about `swap_normalization` on small models."""

import keras
import numpy as np
import pytest

from lng_keras import GroupLayerNormalization, PositionalGroupLayerNormalization
from lng_keras.swap import find_normalizations, swap_normalization

layers = keras.layers
# Keras' variables and NumPy 2 disagree on the arguments of `__array__`.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array__ implementation:DeprecationWarning"
)


def run(model, x):
    return keras.ops.convert_to_numpy(model(x))


def array(variable):
    return keras.ops.convert_to_numpy(variable.value)


def inputs(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def disturb(model):
    """Moves gamma, beta and the running statistics away from 1 and 0."""
    rng = np.random.default_rng(1)
    for w in model.weights:
        w.assign(array(w) + 0.1 * rng.uniform(size=w.shape).astype("float32"))
    return model


def other_weights(model):
    norms = {id(v) for _, n in find_normalizations(model) for v in n.layer.weights}
    return [w for w in model.weights if id(w) not in norms]


def classes(model):
    return [type(norm.layer) for _, norm in find_normalizations(model)]


def functional(norm, shape=(4, 4, 8), **arguments):
    x = keras.Input(shape)
    y = layers.Dense(8, name="first")(x)
    y = norm(name="norm", **arguments)(y)
    return disturb(keras.Model(x, layers.Dense(2, name="last")(y)))


@keras.saving.register_keras_serializable(package="test_swap")
class Block(layers.Layer):
    """Holds norms as an attribute, in a list, in a dict, and made in `build`."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.norm = layers.LayerNormalization()
        self.mlp = [layers.LayerNormalization(), layers.Dense(width)]
        self.named = {"last": layers.LayerNormalization()}
        self.pair = (layers.LayerNormalization(),)

    def build(self, shape):
        # Named like what TensorFlow keeps for itself, as KerasHub names its norms.
        self._self_late_norm = layers.LayerNormalization()
        for layer in (self.norm, *self.mlp, self.named["last"], *self.pair):
            layer.build(shape)
        self._self_late_norm.build(shape)

    def call(self, x, training=None):
        y = self.norm(x, training=training)
        for layer in self.mlp:
            y = layer(y)
        return self.pair[0](self.named["last"](self._self_late_norm(x + y)))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package="test_swap")
class Transformer(keras.Model):
    """Subclassed; one norm has a second name; a functional model inside."""

    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.embed = layers.Dense(width)
        self.attention = layers.MultiHeadAttention(2, width // 2)
        self.norm = layers.LayerNormalization()
        self.blocks = [Block(width), Block(width)]
        self.alias = self.blocks[0].norm
        x = keras.Input((None, width))
        y = layers.BatchNormalization()(x)
        self.tower = keras.Model(x, layers.Dropout(0.5)(layers.Dense(width)(y)))
        self.head = layers.Dense(3)

    def call(self, x, training=None):
        x = self.norm(self.embed(x))
        x = x + self.attention(x, x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(keras.ops.mean(self.tower(x, training=training), axis=1))


def transformer():
    model = Transformer()
    model(inputs(2, 4, 8))
    return disturb(model)


def sequential():
    return disturb(
        keras.Sequential(
            [
                keras.Input((4, 4, 8)),
                layers.Conv2D(8, 3, padding="same"),
                layers.BatchNormalization(),
                layers.Activation("relu"),
                layers.GroupNormalization(2),
            ]
        )
    )


def nested_and_shared():
    again = layers.LayerNormalization(name="again")
    x = keras.Input((8,))
    y = layers.LayerNormalization()(layers.Dense(8)(x))
    inner = keras.Model(x, y, name="inner")
    tail = keras.Sequential([keras.Input((8,)), layers.RMSNormalization()], name="tail")
    y = keras.Input((8,))
    z = layers.Add()([inner(y), again(y), inner(again(-y))])
    return disturb(keras.Model(y, tail(Block(8, name="block")(z))))


MODELS = {
    "subclassed": (transformer, (2, 4, 8), 12),
    "sequential": (sequential, (2, 4, 4, 8), 2),
    "nested and shared": (nested_and_shared, (2, 8), 8),
    "functional": (lambda: functional(layers.LayerNormalization), (2, 4, 4, 8), 1),
}


@pytest.fixture(params=MODELS)
def case(request):
    make, shape, count = MODELS[request.param]
    return make(), inputs(*shape), count


def test_every_norm_is_found_and_replaced(case):
    model, _, count = case
    before = classes(model)
    swapped, report = swap_normalization(model, group_size=4)
    assert len(before) == len(report.replaced) == count
    assert classes(swapped) == [GroupLayerNormalization] * count
    assert [row.path for row in report.rows] == [
        norm.path for _, norm in find_normalizations(swapped)
    ]


def test_other_weights_are_equal_bit_for_bit_and_the_original_is_untouched(case):
    model, x, _ = case
    before, classes_before = run(model, x), classes(model)
    weights = [array(w).copy() for w in model.weights]
    swapped, _ = swap_normalization(model, group_size=4)
    pairs = list(zip(other_weights(model), other_weights(swapped), strict=True))
    assert pairs
    for a, b in pairs:
        assert a is not b
        np.testing.assert_array_equal(array(a), array(b))
    swapped.compile("sgd", "mse")
    swapped.fit(x, run(swapped, x) + 1, verbose=0)  # donates its buffers on JAX
    np.testing.assert_array_equal(run(model, x), before)
    assert classes(model) == classes_before
    for w, value in zip(model.weights, weights, strict=True):
        np.testing.assert_array_equal(array(w), value)


def test_names_stay(case):
    model, _, _ = case
    swapped, _ = swap_normalization(model, group_size=4)
    assert names(model) == names(swapped)


def names(layer):
    return [(child.name, *names(child)) for child in layer._layers]


def test_restore_gives_back_the_outputs_exactly(case):
    model, x, _ = case
    swapped, report = swap_normalization(model, group_size=4)
    assert not np.allclose(run(swapped, x), run(model, x))
    restored, _ = report.restore(swapped)
    np.testing.assert_array_equal(run(restored, x), run(model, x))


def test_a_trained_swap_saves_and_loads(case, tmp_path):
    model, x, count = case
    swapped, _ = swap_normalization(model, group_size=4)
    swapped.compile("sgd", "mse")
    before = run(swapped, x)
    swapped.fit(x, before + 1, verbose=0)
    assert not np.allclose(run(swapped, x), before)
    swapped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(run(loaded, x), run(swapped, x))
    assert classes(loaded) == [GroupLayerNormalization] * count
    # What was loaded can be swapped again, and saved.
    again, _ = swap_normalization(loaded, group_size=2)
    assert {n.layer.group_size for _, n in find_normalizations(again)} == {2}
    again.save(tmp_path / "again.keras")
    loaded = keras.models.load_model(tmp_path / "again.keras")
    np.testing.assert_array_equal(run(loaded, x), run(again, x))


def test_a_layer_shared_with_an_inner_model_stays_shared():
    shared = layers.LayerNormalization(name="shared")
    x = keras.Input((8,))
    inner = keras.Model(x, shared(layers.Dense(8)(x)), name="inner")
    model = disturb(keras.Model(x, shared(inner(x))))
    swapped, _ = swap_normalization(model, group_size=4)
    assert swapped.get_layer("shared") is swapped.get_layer("inner").get_layer("shared")
    assert len(swapped.weights) == len(model.weights)


def test_a_norm_with_two_names_is_replaced_under_both():
    swapped, _ = swap_normalization(transformer(), group_size=4)
    assert isinstance(swapped.alias, GroupLayerNormalization)
    assert swapped.alias is swapped.blocks[0].norm


# from -> (to and back, with what, input shape): where A -> B -> A is exact by class.
THERE_AND_BACK = [
    (layers.LayerNormalization, dict(axis=-1), dict(), (4, 4, 8)),
    pytest.param(
        *(layers.LayerNormalization, dict(axis=1), dict(), (8, 3)),
        marks=pytest.mark.skipif(
            keras.config.backend() == "torch",
            reason="Keras' LayerNormalization on torch takes the last axis for any",
        ),
    ),
    (layers.RMSNormalization, dict(), dict(), (4, 4, 8)),
    (layers.GroupNormalization, dict(groups=4), dict(groups=4), (4, 4, 8)),
    (layers.GroupNormalization, dict(groups=-1), dict(group_size=1), (4, 4, 8)),
]


@pytest.mark.parametrize(("cls", "arguments", "groups", "shape"), THERE_AND_BACK)
def test_a_to_b_to_a_is_exact(cls, arguments, groups, shape):
    x = keras.Input(shape)
    model = disturb(keras.Model(x, cls(name="norm", epsilon=1e-4, **arguments)(x)))
    data = inputs(2, *shape)
    swapped, _ = swap_normalization(model, **groups)
    back, report = swap_normalization(swapped, to=cls)
    np.testing.assert_array_equal(run(back, data), run(model, data))
    assert not any(row.lost for row in report.rows)


def test_joint_layer_norm_is_carried_where_it_is_constant_over_space():
    model = functional(layers.LayerNormalization, axis=(1, 2, 3))
    _, report = swap_normalization(model)
    assert set(report.rows[0].lost) == {"gamma", "beta"}
    norm = model.get_layer("norm")
    for w in norm.weights:
        value = array(w)
        w.assign(np.broadcast_to(value[:1, :1], value.shape))
    swapped, report = swap_normalization(model, groups=1)
    assert report.rows[0].carried == ["gamma", "beta"]
    x = inputs(2, 4, 4, 8)
    np.testing.assert_allclose(run(swapped, x), run(model, x), atol=2e-6)
    back, _ = swap_normalization(swapped, to=layers.LayerNormalization)
    np.testing.assert_array_equal(run(back, x), run(model, x))


# The identities of the layers: the swap keeps the function where it should.
IDENTITIES = [
    (layers.LayerNormalization, {}, dict(groups=1)),
    (layers.RMSNormalization, {}, dict(groups=1)),
    (layers.GroupNormalization, dict(groups=4), dict(groups=4)),
    (GroupLayerNormalization, dict(group_size=4), dict(to=layers.GroupNormalization)),
]


@pytest.mark.parametrize(("cls", "arguments", "swap"), IDENTITIES)
def test_same_function_where_the_groups_are_the_same(cls, arguments, swap):
    if cls is GroupLayerNormalization:
        arguments = dict(arguments, axis=(1, 2, 3))
    model = functional(cls, **arguments)
    swapped, report = swap_normalization(model, **swap)
    x = inputs(2, 4, 4, 8)
    assert report.replaced
    np.testing.assert_allclose(run(swapped, x), run(model, x), atol=5e-6)


def test_statistics_are_over_the_axes_asked_for():
    def axis_of(cls, arguments=None, **swap):
        swapped, _ = swap_normalization(functional(cls, **(arguments or {})), **swap)
        axis = swapped.get_layer("norm").axis
        return tuple(axis) if isinstance(axis, (list, tuple)) else axis

    assert axis_of(layers.BatchNormalization) == -1
    assert axis_of(layers.BatchNormalization, over_space=True) == (1, 2, 3)
    assert axis_of(layers.GroupNormalization, dict(groups=2)) == (1, 2, 3)
    assert axis_of(layers.GroupNormalization, dict(groups=2), over_space=False) == -1


def test_channels_first_stays_channels_first():
    x = keras.Input((8, 3, 3))
    model = keras.Model(x, layers.BatchNormalization(axis=1, name="norm")(x))
    swapped, _ = swap_normalization(model, over_space=True)
    assert list(swapped.get_layer("norm").axis) == [2, 3, 1]
    swapped, _ = swap_normalization(model, to=PositionalGroupLayerNormalization)
    assert swapped.get_layer("norm").data_format == "channels_first"


def test_running_statistics_that_are_lost_are_said():
    _, report = swap_normalization(sequential())
    assert set(report.rows[0].lost) == {"moving_mean", "moving_variance"}
    assert "moving_variance" in report.summary()
    assert "moving_variance" in str(report)
    assert "moving_variance" in report._repr_html_()


def test_where_selects_by_pattern_path_and_predicate():
    model = transformer()

    def replaced(where):
        _, report = swap_normalization(model, group_size=4, where=where)
        assert len(report.replaced) + len(report.left_out) == 12
        return [row.path for row in report.replaced]

    assert replaced("norm") == ["norm"]
    assert all("blocks[1]" in path for path in replaced("blocks[[]1]*"))
    assert len(replaced("blocks*")) == 10
    assert replaced(["norm", "tower/*"]) != replaced("norm")
    only_batch = replaced(lambda n: isinstance(n.layer, layers.BatchNormalization))
    assert len(only_batch) == 1


def test_group_size_may_be_a_function_of_the_norm():
    def size(norm):
        return 2 if norm.path == "norm" else 4

    _, report = swap_normalization(transformer(), group_size=size)
    after = {row.path: row.after for row in report.rows}
    assert after["norm"] == "GroupLayerNormalization(group_size=2)"
    assert after["blocks[0].norm"] == "GroupLayerNormalization(group_size=4)"


def test_to_may_be_a_function_and_none_keeps():
    def to(norm):
        if norm.path == "norm":
            return GroupLayerNormalization(groups=2, name=norm.layer.name)
        return None

    swapped, report = swap_normalization(transformer(), to=to)
    assert [row.path for row in report.replaced] == ["norm"]
    assert swapped.norm.groups == 2


@pytest.mark.parametrize(
    ("channels", "asked", "chosen"),
    [
        (24, dict(group_size=16), 12),
        (40, dict(group_size=16), 20),
        (7, dict(group_size=8), 7),
        (10, dict(group_size=4), 5),
        (10, dict(groups=3), 5),
        # 40 / 16 = 2.5, which divides 40 as a float does.
        (40, dict(groups=16), 4),
        (12, dict(groups=8), 3),
        (9, dict(group_size=1), 3),
    ],
)
def test_groups_that_do_not_fit_are_chosen_by_the_stated_rule(channels, asked, chosen):
    x = keras.Input((channels,))
    model = keras.Model(x, layers.LayerNormalization(name="norm")(x))
    swapped, report = swap_normalization(model, **asked)
    assert swapped.get_layer("norm").group_size == chosen
    assert f"groups of {chosen} instead" in report.rows[0].reason
    with pytest.raises(ValueError, match=f"'norm': .* does not fit its {channels} ch"):
        swap_normalization(model, **asked, indivisible="refuse")


def test_group_size_may_be_an_integer_of_numpy(tmp_path):
    model = functional(layers.LayerNormalization)
    swapped, report = swap_normalization(model, group_size=np.int64(4))
    assert report.rows[0].after == "GroupLayerNormalization(group_size=4)"
    swapped.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = inputs(2, 4, 4, 8)
    np.testing.assert_array_equal(run(loaded, x), run(swapped, x))


def test_two_channels_are_kept_because_their_groups_are_a_sign_function():
    x = keras.Input((2,))
    model = keras.Model(x, layers.LayerNormalization()(x))
    _, report = swap_normalization(model)
    assert report.kept
    assert "no divisor of 3 or more" in report.kept[0].reason


def test_a_norm_that_is_already_there_is_kept():
    model = functional(GroupLayerNormalization, group_size=4)
    _, report = swap_normalization(model, group_size=4)
    assert "already" in report.kept[0].reason


def test_unknown_and_subclassed_norms_are_kept_with_the_reason():
    class FrozenBatchNormalization(layers.BatchNormalization):
        pass

    class StrangeNorm(layers.Layer):
        def call(self, x):
            return x

    x = keras.Input((8,))
    y = layers.LayerNormalization()(StrangeNorm()(FrozenBatchNormalization()(x)))
    _, report = swap_normalization(keras.Model(x, y))
    reasons = [row.reason for row in report.kept]
    assert "subclass of BatchNormalization" in reasons[0]
    assert "StrangeNorm is not a normalization known here" in reasons[1]
    assert len(report.replaced) == 1


def test_a_function_replaces_subclasses_and_restore_brings_them_back():
    class Mine(layers.BatchNormalization):
        pass

    model = functional(Mine)

    def to(norm):
        assert (norm.shape, norm.axes, norm.groups) == ((None, 4, 4, 8), (3,), 1)
        return GroupLayerNormalization(group_size=4)

    swapped, report = swap_normalization(model, to=to)
    assert classes(swapped) == [GroupLayerNormalization]
    assert report.rows[0].carried == ["gamma", "beta"]
    restored, report = report.restore(swapped)
    assert report.replaced
    assert not report.rows[0].lost
    assert classes(restored) == [Mine]
    x = inputs(2, 4, 4, 8)
    np.testing.assert_array_equal(run(restored, x), run(model, x))


def test_a_subclass_that_a_function_put_in_is_restored():
    class OurNormalization(GroupLayerNormalization):
        pass

    model = functional(layers.LayerNormalization)
    swapped, report = swap_normalization(model, to=lambda norm: OurNormalization())
    assert classes(swapped) == [OurNormalization]
    restored, _ = report.restore(swapped)
    x = inputs(2, 4, 4, 8)
    np.testing.assert_array_equal(run(restored, x), run(model, x))


def test_restore_refuses_what_it_cannot_put_back():
    class OtherNorm(layers.Layer):
        def call(self, x):
            return x

    model = functional(layers.LayerNormalization)
    swapped, report = swap_normalization(model, to=lambda norm: OtherNorm())
    for given, why in (
        (swapped, "OtherNorm is not a normalization known here"),
        (sequential(), "the model has no normalization there"),
    ):
        message = f"'norm' cannot be put back: {why}"
        with pytest.raises(ValueError, match=message) as error:
            report.restore(given)
        assert "\n" not in str(error.value)


def test_settings_of_a_norm_are_kept():
    model = functional(
        layers.LayerNormalization,
        epsilon=0.25,
        scale=False,
        beta_regularizer="l2",
        dtype="mixed_bfloat16",
    )
    model.get_layer("norm").trainable = False
    swapped, _ = swap_normalization(model)
    norm = swapped.get_layer("norm")
    assert norm.epsilon == 0.25
    assert norm.gamma is None
    assert isinstance(norm.beta_regularizer, keras.regularizers.L2)
    assert norm.compute_dtype == "bfloat16"
    assert not norm.trainable
    assert swapped.get_layer("first").trainable


def test_random_states_of_other_layers_are_carried():
    model = transformer()
    swapped, _ = swap_normalization(model, group_size=4)
    dropout, copy = model.tower.layers[-1], swapped.tower.layers[-1]
    np.testing.assert_array_equal(
        array(dropout.seed_generator.state),
        array(copy.seed_generator.state),
    )


def test_what_cannot_be_swapped_is_refused_in_one_line():
    x = keras.Input((8,))
    plain = keras.Model(x, layers.Dense(2)(x), name="plain")
    for arguments, message in [
        ((plain,), "No normalization layer found in model 'plain'"),
        ((Transformer(),), "must be built"),
        ((3,), "must be a Keras model or layer. Received: int"),
        ((transformer(), layers.Dense), "`to` must be one of GroupLayerNorm"),
    ]:
        with pytest.raises(ValueError, match=message) as error:
            swap_normalization(*arguments)
        assert "\n" not in str(error.value)
    with pytest.raises(ValueError, match="not both"):
        swap_normalization(sequential(), group_size=4, groups=2)
    with pytest.raises(ValueError, match="`group_size` must be .*group_size=True"):
        swap_normalization(sequential(), group_size=True)
    with pytest.raises(ValueError, match='"nearest" or "refuse"'):
        swap_normalization(sequential(), indivisible="maybe")
    with pytest.raises(ValueError, match="`group_size` must be an int >= 1"):
        swap_normalization(sequential(), group_size=0)


IGNORED = [
    (PositionalGroupLayerNormalization, dict(over_space=True)),
    (layers.GroupNormalization, dict(over_space=False)),
    (layers.BatchNormalization, dict(over_space=False)),
    (layers.LayerNormalization, dict(group_size=4)),
    (layers.BatchNormalization, dict(groups=2)),
    (layers.RMSNormalization, dict(group_size=lambda norm: 4)),
    (lambda norm: None, dict(group_size=4)),
    (lambda norm: None, dict(over_space=True)),
]


@pytest.mark.parametrize(("to", "argument"), IGNORED)
def test_an_argument_that_would_be_ignored_is_refused(to, argument):
    (name,) = argument
    with pytest.raises(ValueError, match=f"`{name}` .*Received: {name}=") as error:
        swap_normalization(sequential(), to=to, **argument)
    assert "\n" not in str(error.value)


def test_what_a_class_does_anyway_may_be_asked_of_it():
    for to, over_space in (
        (PositionalGroupLayerNormalization, False),
        (layers.GroupNormalization, True),
        (layers.BatchNormalization, True),
    ):
        model = functional(layers.LayerNormalization)
        assert swap_normalization(model, to=to, over_space=over_space)[1].replaced


@pytest.mark.parametrize("to", [layers.LayerNormalization, layers.RMSNormalization])
def test_weights_over_unknown_space_cannot_be_made_so_the_norm_is_kept(to):
    model = functional(layers.GroupNormalization, (None, None, 8), groups=2)
    _, report = swap_normalization(model, to=to)
    assert report.kept[0].reason == "its size over space is unknown"
    assert swap_normalization(model, to=to, over_space=False)[1].replaced


def test_a_config_that_does_not_rebuild_its_layer_is_refused():
    class Forgetful(layers.Layer):
        def __init__(self, width, **kwargs):
            super().__init__(**kwargs)
            self.norm = layers.LayerNormalization()
            self.dense = layers.Dense(width)

        def call(self, x):
            return self.dense(self.norm(x))

        def get_config(self):
            return {**super().get_config(), "width": 3}

    x = keras.Input((8,))
    model = keras.Model(x, Forgetful(5)(x))
    with pytest.raises(RuntimeError, match="config must rebuild it"):
        swap_normalization(model)
