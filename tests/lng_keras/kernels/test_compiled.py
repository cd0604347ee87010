"""What the layer moves on accelerators, compiled for cards that are not there."""

import functools

import pytest

import lng_keras
from experiments.speed import described

pytestmark = pytest.mark.only("jax", reason="programs of JAX")

TOKENS, MAPS = (8192, 768), (16, 32, 32, 64)


@pytest.fixture
def h100():
    try:
        return described.h100()
    except (ImportError, AttributeError) as error:
        pytest.skip(f"no compiler for CUDA: {error}")


@pytest.fixture
def v5e():
    try:
        return described.v5e()
    except ImportError as error:
        pytest.skip(f"no compiler for TPU: {error}")


def functions(size, axis=-1):
    """The value, dx and all gradients, each with its arrays of the size of x."""
    import jax

    fn = functools.partial(
        lng_keras.group_layer_normalization, group_size=size, axis=axis
    )

    def dx(x, gamma, beta, dy):
        return jax.vjp(lambda x: fn(x, gamma, beta), x)[1](dy)[0]

    def gradient(x, gamma, beta, dy):
        return jax.vjp(fn, x, gamma, beta)[1](dy)

    return {"value": (fn, 2), "dx": (dx, 3), "gradient": (gradient, 3)}


def arguments(shape, dtype, sharding, of_weights, fn_arrays):
    import jax

    x = jax.ShapeDtypeStruct(shape, dtype, sharding=sharding)
    w = jax.ShapeDtypeStruct(shape[-1:], "float32", sharding=of_weights)
    return (x, w, w) if fn_arrays == 2 else (x, w, w, x)


def bytes_of(shape, dtype):
    import jax.numpy as jnp

    return functools.reduce(int.__mul__, shape) * jnp.dtype(dtype).itemsize


@pytest.mark.parametrize(
    ("shape", "size", "dtype"),
    [
        (TOKENS, 3, "bfloat16"),
        (TOKENS, 4, "float32"),
        (TOKENS, 6, "bfloat16"),
        (TOKENS, 48, "float32"),
        (TOKENS, 768, "bfloat16"),
        (MAPS, 64, "bfloat16"),
    ],
)
def test_h100_moves_each_number_once(h100, shape, size, dtype):
    most = {"value": 1.05, "dx": 1.05, "gradient": 1.15}
    whole = bytes_of(shape, dtype)
    for name, (fn, arrays) in functions(size).items():
        given = arguments(shape, dtype, h100, h100, arrays)
        program = described.compiled(fn, *given, platform="cuda")
        assert program.moved <= most[name] * arrays * whole, name
        assert program.temporary < 0.25 * whole, name


def test_h100_takes_groups_over_space_in_two_passes(h100):
    shape = (256, 32, 32, 64)
    whole = bytes_of(shape, "float32")
    for name, (fn, arrays) in functions(8, (1, 2, 3)).items():
        given = arguments(shape, "float32", h100, h100, arrays)
        program = described.compiled(fn, *given, platform="cuda")
        # Two reads and a write over one of each; a sample for the pivot and the sums.
        most = {"value": 1.6, "dx": 2.1, "gradient": 2.1}[name]
        assert program.moved <= most * arrays * whole, name
        assert program.temporary < 0.25 * whole, name


@pytest.mark.parametrize(
    ("shape", "size", "dtype"),
    [
        (TOKENS, 4, "bfloat16"),
        (MAPS, 8, "float32"),
        ((128, 16, 16, 64), 8, "bfloat16"),  # which XLA lays out batch last
    ],
)
def test_v5e_moves_each_number_once_from_a_cpu(v5e, shape, size, dtype):
    from jax.sharding import SingleDeviceSharding

    chip = SingleDeviceSharding(v5e[0, 0])
    whole = bytes_of(shape, dtype)
    for name, (fn, arrays) in functions(size).items():
        given = arguments(shape, dtype, chip, chip, arrays)
        program = described.compiled(fn, *given, platform="tpu")
        assert program.moved <= 1.15 * arrays * whole, name
        assert program.temporary < 0.25 * whole, name
        assert program.kernels == 1, name


CUTS = {
    "rows": (("data", "model"), None, None),
    "rows and channels": ("data", "model", "model"),
}


@pytest.mark.parametrize("cut", CUTS)
def test_four_chips_each_move_their_part_once(v5e, cut):
    import jax
    from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

    rows, channels, of_weights = CUTS[cut]
    types = (AxisType.Explicit,) * 2
    mesh = Mesh(v5e, ("data", "model"), axis_types=types)
    sharding = NamedSharding(mesh, PartitionSpec(rows, channels))
    weights = NamedSharding(mesh, PartitionSpec(of_weights))
    part = bytes_of(TOKENS, "float32") / 4
    for name, (fn, arrays) in functions(8).items():
        given = arguments(TOKENS, "float32", sharding, weights, arrays)
        with jax.set_mesh(mesh):
            program = described.compiled(fn, *given, platform="tpu")
        assert program.moved <= 1.15 * arrays * part, name
        assert program.temporary < 0.25 * part, name
        assert program.kernels == 1, name
        assert not program.gathered, name


def test_xla_cuts_what_nobody_says_how_to_cut(v5e):
    from jax.sharding import Mesh, NamedSharding, PartitionSpec

    mesh = Mesh(v5e, ("data", "model"))
    sharding = NamedSharding(mesh, PartitionSpec(("data", "model"), None))
    weights = NamedSharding(mesh, PartitionSpec(None))
    for dtype in ("float32", "bfloat16"):
        part = bytes_of(TOKENS, dtype) / 4
        fn, arrays = functions(8)["value"]
        given = arguments(TOKENS, dtype, sharding, weights, arrays)
        program = described.compiled(fn, *given, platform="tpu")
        assert program.moved <= 5.2 * arrays * part
        assert program.temporary < 0.01 * part
        assert not program.gathered
