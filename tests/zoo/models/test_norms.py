"""The names of --norm: which numbers share their statistics, what is refused."""

import keras
import numpy as np
import pytest

from zoo.models import norms

# Keras' conversion to numpy under NumPy 2, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")

SHAPES = {
    **{"maps": (3, 4, 2, 8), "tokens": (3, 5, 8)},
    **{"sequences": (3, 5, 8), "vectors": (6, 8)},
}

# (name, arguments, channels of a group, form -> axes besides the group's channels).
# An empty tuple: each position by itself. None: refused.
STATISTICS = [
    ("bn", {}, 1, {"maps": (0, 1, 2), "tokens": (0, 1), "vectors": (0,)}),
    ("ln", {}, 8, {"maps": (1, 2), "tokens": (), "vectors": ()}),
    ("ln_position", {}, 8, {"maps": (), "tokens": (), "vectors": ()}),
    ("gn", {}, 2, {"maps": (1, 2), "tokens": (1,), "vectors": ()}),
    ("gn", {"groups": 2}, 4, {"maps": (1, 2), "tokens": (1,), "vectors": ()}),
    ("gn", {"group_size": 8}, 8, {"maps": (1, 2), "tokens": (1,), "vectors": ()}),
    ("in", {}, 1, {"maps": (1, 2), "tokens": (1,)}),
    ("lng", {}, 8, {"maps": (1, 2), "tokens": (), "vectors": ()}),
    ("lng", {"group_size": 4}, 4, {"maps": (1, 2), "tokens": (), "vectors": ()}),
    ("lng", {"groups": 4}, 2, {"maps": (1, 2), "tokens": (), "vectors": ()}),
    ("lng_position", {}, 8, {"maps": (), "tokens": (), "vectors": ()}),
    ("lng_position", {"group_size": 4}, 4, {"maps": (), "tokens": (), "vectors": ()}),
]
CASES = [
    pytest.param(name, arguments, size, form, axes, id=f"{name}-{arguments}-{form}")
    for name, arguments, size, forms in STATISTICS
    for form, axes in forms.items()
] + [
    pytest.param(name, arguments, size, "sequences", axes, id=f"{name}-sequences")
    for name, arguments, size, axes in [
        ("bn", {}, 1, (0, 1)),
        ("ln", {}, 8, ()),
        ("gn", {}, 2, ()),
        ("lng", {"group_size": 4}, 4, ()),
    ]
]


def reference(x, axes, group_size, subtract_mean=True):
    """Float64 statistics over `axes` and the channels of a group."""
    z = x.astype("float64")
    z = z.reshape(*z.shape[:-1], z.shape[-1] // group_size, group_size)
    if subtract_mean:
        z = z - z.mean((*axes, -1), keepdims=True)
    z = z / np.sqrt(np.square(z).mean((*axes, -1), keepdims=True) + 1e-5)
    return z.reshape(x.shape)


def apply(layer, x, rng):
    """The layer with random scale and offset, and these two."""
    layer.build(x.shape)
    gamma, beta = rng.normal(size=(2, 8)).astype("float32")
    layer.gamma.assign(gamma)
    if getattr(layer, "beta", None) is None:
        beta = 0
    else:
        layer.beta.assign(beta)
    return keras.ops.convert_to_numpy(layer(x, training=True)), gamma, beta


@pytest.mark.parametrize(("name", "arguments", "size", "form", "axes"), CASES)
def test_name_normalizes_over_the_stated_numbers(name, arguments, size, form, axes):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=SHAPES[form]) + rng.normal(size=8)).astype("float32")
    layer = norms.layer_maker(name, form, **arguments)(name="n")
    assert layer.name == "n"
    actual, gamma, beta = apply(layer, x, rng)
    desired = reference(x, axes, size) * gamma + beta
    # 1e-4: Keras' BatchNormalization centers by a rounded mean.
    np.testing.assert_allclose(actual, desired, atol=1e-4)


@pytest.mark.parametrize(("form", "axes"), [("maps", (1, 2)), ("tokens", ())])
def test_rms_divides_by_the_root_mean_square_and_has_no_offset(form, axes):
    rng = np.random.default_rng(0)
    x = (rng.normal(size=SHAPES[form]) + 1).astype("float32")
    layer = norms.layer_maker("rms", form)(name="n")
    actual, gamma, beta = apply(layer, x, rng)
    assert layer.beta is None
    desired = reference(x, axes, 8, subtract_mean=False) * gamma
    np.testing.assert_allclose(actual, desired, atol=1e-5)


def test_gn_is_the_group_normalization_of_keras():
    x = np.random.default_rng(0).normal(size=SHAPES["maps"]).astype("float32")
    ours = norms.layer_maker("gn", "maps", groups=2)(name="n")(x)
    theirs = keras.layers.GroupNormalization(2, epsilon=1e-5)(x)
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(ours), keras.ops.convert_to_numpy(theirs), atol=1e-5
    )


def test_none_is_the_identity():
    x = np.ones((2, 3), "float32")
    y = norms.layer_maker("none", "vectors")(name="n")(x)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(y), x)


@pytest.mark.parametrize("name", norms.NAMES)
def test_scale_and_offset_are_per_channel(name):
    layer = norms.layer_maker(name, "maps")(name="n")
    layer.build(SHAPES["maps"])
    assert {tuple(w.shape) for w in layer.trainable_weights} <= {(8,)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("lgn", "maps"), "Unknown norm.*'lgn'.*bn, ln, .*none"),
        (("ln", "maps", 2), "'ln' has no groups.*groups=2.*gn, lng, lng_position"),
        (("bn", "maps", None, 4), "'bn' has no groups.*group_size=4"),
        (("in", "vectors"), "needs positions"),
        (("in", "sequences"), "needs positions"),
    ],
)
def test_bad_names_and_arguments_are_refused_in_one_line(arguments, message):
    with pytest.raises(ValueError, match=message) as error:
        norms.layer_maker(*arguments)
    assert "\n" not in str(error.value)


def test_groups_and_group_size_together_are_refused():
    with pytest.raises(ValueError, match="not both"):
        norms.layer_maker("lng", "maps", groups=2, group_size=4)(name="n")
