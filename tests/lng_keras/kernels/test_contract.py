"""The contract of a form, on every form that runs on this backend."""

import keras
import numpy as np
import pytest
from keras import ops

import lng_keras
from lng_keras.kernels import fused, reference, summed, two_pass
from lng_keras.kernels.spec import Spec
from tests.lng_keras import reference as float64
from tests.lng_keras.gradients import to_numpy
from tests.lng_keras.kernels.test_kernels import GRADIENT_TOLERANCE, VALUE_TOLERANCE

# (shape, axes, group size): tokens, maps, over space, odd sizes, channels first.
ROWS = [((6, 24), (1,), 4), ((3, 5, 21), (2,), 7), ((2, 3, 96), (2,), 48)]
MAPS = [((2, 3, 4, 24), (3,), 8)]
SPACE = [((2, 3, 4, 24), (1, 2, 3), 8), ((3, 5, 15), (1, 2), 3)]
OTHERS = [((2, 24, 3, 4), (1,), 3), ((2, 24, 3, 4), (2, 3, 1), 8)]


def forms():
    """(name, form, cases) of the running backend."""
    everywhere = ROWS + MAPS + SPACE + OTHERS
    found = [
        ("reference", reference, everywhere),
        ("fused", fused, everywhere),
        ("summed", summed, SPACE),
        ("two_pass", two_pass, SPACE),
    ]
    if keras.backend.backend() == "tensorflow":
        from lng_keras.kernels.tensorflow.cluster import Compiled

        found += [
            ("compiled reference", Compiled(reference), ROWS + OTHERS[:1]),
            ("compiled summed", Compiled(summed), SPACE),
        ]
    return found


needs_float64 = pytest.mark.only(
    "tensorflow",
    reason="no float64 on JAX unless told to, and Keras' mean on torch is a float32",
)


def each_form(test):
    """Runs a test on every form, with its cases."""
    rows = [pytest.param(form, cases, id=name) for name, form, cases in forms()]
    return pytest.mark.parametrize(("form", "cases"), rows)(test)


def specs(shape, axes, size, subtract_mean=True):
    return Spec(shape[axes[-1]] // size, axes, 1e-5, subtract_mean)


def draw(shape, channels, dtype="float32", offset=0.0, seed=0):
    """x, gamma, beta and as many tangents; x as the dtype has it."""
    rng = np.random.default_rng(seed)
    shapes = [shape, (channels,), (channels,)] * 2
    found = [rng.normal(size=s) for s in shapes]
    found[0] += offset
    weights = "float64" if dtype == "float64" else "float32"
    dtypes = [dtype, weights, weights] * 2
    # By way of a type that every backend takes from NumPy as it is.
    return [
        ops.cast(ops.convert_to_tensor(a.astype(w), w), t)
        for a, t, w in zip(found, dtypes, [weights] * 6, strict=True)
    ]


def wide(tensor):
    """As float64 of NumPy, which does not know bfloat16."""
    if keras.backend.standardize_dtype(tensor.dtype) != "float64":
        tensor = ops.cast(tensor, "float32")
    return to_numpy(tensor).astype("float64")


def relative(found, wanted):
    return np.linalg.norm(found - wanted) / np.linalg.norm(wanted)


@each_form
@pytest.mark.parametrize("offset", [0.0, 1e2, 1e4, 1e6])
def test_float32_is_as_precise_at_every_offset(form, cases, offset):
    for shape, axes, size in cases:
        spec = specs(shape, axes, size)
        x, *_ = draw(shape, shape[axes[-1]], offset=offset)
        dy = draw(shape, shape[axes[-1]])[3]
        y, kept = form.forward(x, None, None, spec)
        x = wide(x)
        wanted = float64.normalize(x, None, None, spec.groups, axes)
        assert np.abs(wide(y) - wanted).max() <= VALUE_TOLERANCE
        ops_x = ops.cast(x, "float32")
        found = form.pull(ops_x, None, kept, dy, spec)
        ones = np.ones(shape[axes[-1]])
        wanted = float64.gradients(x, ones, wide(dy), spec.groups, axes)
        for a, b in zip(found, wanted, strict=True):
            assert relative(wide(a), b) <= GRADIENT_TOLERANCE


@pytest.mark.parametrize("channels_first", [False, True])
@pytest.mark.parametrize("offset", [0.0, 1e6])
@pytest.mark.parametrize("size", [4, 64])
def test_large_groups_are_as_precise(channels_first, offset, size):
    # 65,536 numbers a group: added up one after the other they lose 2e-4 of them.
    shape, axes = (4, 32, 32, 64), (1, 2, 3)
    if channels_first:
        shape, axes = (4, 64, 32, 32), (2, 3, 1)
    x = (np.random.default_rng(0).normal(size=shape) + offset).astype("float32")
    layer = lng_keras.GroupLayerNormalization(group_size=size, axis=axes, epsilon=1e-5)
    model = keras.Sequential([keras.Input(shape[1:]), layer])
    wanted = float64.normalize(x, None, None, 64 // size, axes)
    for y in (layer(x), model.predict(x, verbose=0)):
        assert np.abs(to_numpy(y) - wanted).max() <= VALUE_TOLERANCE


# Half a unit in the last place of values up to 8, and of sums of rounded ones.
@each_form
@pytest.mark.parametrize(
    ("dtype", "tolerance"),
    [
        ("float16", 2.0**-8),
        ("bfloat16", 2.0**-5),
        pytest.param("float64", 1e-12, marks=needs_float64),
    ],
)
def test_every_dtype_keeps_its_precision(form, cases, dtype, tolerance):
    for shape, axes, size in cases:
        spec = specs(shape, axes, size)
        x, gamma, beta, dy, *_ = draw(shape, shape[axes[-1]], dtype)
        y, kept = form.forward(x, gamma, beta, spec)
        found = form.pull(x, gamma, kept, dy, spec)
        statistics = "float64" if dtype == "float64" else "float32"
        got = [keras.backend.standardize_dtype(t.dtype) for t in (y, *found)]
        assert got == [dtype, dtype, statistics, statistics]
        arrays = map(wide, (x, gamma, beta))
        wanted = float64.normalize(*arrays, spec.groups, axes)
        assert np.abs(wide(y) - wanted).max() <= tolerance
        wanted = float64.gradients(*map(wide, (x, gamma, dy)), spec.groups, axes)
        for a, b in zip(found, wanted, strict=True):
            assert relative(wide(a), b) <= tolerance


@each_form
@pytest.mark.parametrize("subtract_mean", [True, False])
def test_push_and_pull_are_each_others_transpose(form, cases, subtract_mean):
    for shape, axes, size in cases:
        spec = specs(shape, axes, size, subtract_mean)
        x, gamma, beta, *tangents = draw(shape, shape[axes[-1]])
        dy = ops.cast(np.random.default_rng(1).normal(size=shape), "float32")
        y, kept = form.forward(x, gamma, beta, spec)
        pulled = form.pull(x, gamma, kept, dy, spec)
        wanted = [(wide(a) * wide(b)).sum() for a, b in zip(pulled, tangents, strict=1)]
        pushed = form.push(x, gamma, kept, *tangents, spec)
        assert pushed.shape == x.shape
        scale = np.linalg.norm(wide(pushed)) * np.linalg.norm(wide(dy))
        assert abs((wide(pushed) * wide(dy)).sum() - sum(wanted)) <= 1e-6 * scale
        # One tangent, and one gradient, at a time.
        for i in range(3):
            alone = [t if i == j else None for j, t in enumerate(tangents)]
            pushed = form.push(x, gamma, kept, *alone, spec)
            assert abs((wide(pushed) * wide(dy)).sum() - wanted[i]) <= 1e-6 * scale
            asked = tuple(i == j for j in range(3))
            found = form.pull(x, gamma, kept, dy, spec, asked)
            assert [g is not None for g in found] == list(asked)
            assert relative(wide(found[i]), wide(pulled[i])) <= 1e-6


@each_form
def test_without_the_mean_it_is_the_rms_form(form, cases):
    for shape, axes, size in cases:
        spec = specs(shape, axes, size, subtract_mean=False)
        x, gamma, beta, *_ = draw(shape, shape[axes[-1]])
        y, kept = form.forward(x, gamma, beta, spec)
        assert all(k is None for k in kept[:1])
        wanted = float64.normalize(
            *map(wide, (x, gamma, beta)), spec.groups, axes, subtract_mean=False
        )
        assert np.abs(wide(y) - wanted).max() < 5 * VALUE_TOLERANCE


@each_form
def test_an_empty_batch_stays_empty(form, cases):
    for shape, axes, size in cases:
        spec = specs(shape, axes, size)
        channels = shape[axes[-1]]
        x, gamma, beta, *tangents = draw((0, *shape[1:]), channels)
        y, kept = form.forward(x, gamma, beta, spec)
        assert tuple(y.shape) == tuple(x.shape)
        assert tuple(form.push(x, gamma, kept, *tangents, spec).shape) == x.shape
        dx, *sums = form.pull(x, gamma, kept, x, spec)
        assert tuple(dx.shape) == tuple(x.shape)
        for total in sums:
            np.testing.assert_array_equal(wide(total), np.zeros(channels))


@needs_float64
def test_second_is_the_derivative_of_pull():
    """Along random directions, by central differences in float64."""
    for shape, axes, size in ROWS[:1] + SPACE + OTHERS[:1]:
        for subtract_mean in (True, False):
            spec = specs(shape, axes, size, subtract_mean)
            channels = shape[axes[-1]]
            x, gamma, _, dx, dgamma, dbeta = draw(shape, channels, "float64")
            along_x, along_gamma, _, dy, *_ = draw(shape, channels, "float64", seed=1)

            def slope(step):
                moved = x + step * along_x, gamma + step * along_gamma  # noqa: B023
                pushed = reference.push(*moved, (), dx, dgamma, dbeta, spec)  # noqa: B023
                return (wide(pushed) * wide(dy)).sum()  # noqa: B023

            to_x, to_gamma = reference.second(x, gamma, dx, dgamma, dy, spec)
            found = (wide(to_x) * wide(along_x)).sum()
            found += (wide(to_gamma) * wide(along_gamma)).sum()
            wanted = (slope(1e-5) - slope(-1e-5)) / 2e-5
            assert abs(found - wanted) <= 1e-6 * max(1.0, abs(wanted))
