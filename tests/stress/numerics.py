"""Random shapes, axes, group sizes, dtypes and offsets against float64."""

import random
import sys

import numpy as np

from tests.lng_keras import reference
from tests.stress.results import Outcome

# The layer's bars: float32 by test_kernels.py; half types by the spacing of their
# numbers, relative to the largest output.
VALUE = {"float32": 2e-6, "bfloat16": 2**-8, "float16": 2**-11}
GRADIENT = {"float32": 1e-5, "bfloat16": 2**-6, "float16": 2**-9}
SIZES = (3, 4, 5, 6, 7, 8, 12, 16, 24, 32, 48, 64)
OFFSETS = (0.0, 0.0, 1.0, 100.0)


def draw(rng):
    """Returns a case: shape, axes with the channel axis last, group size, dtype."""
    rank = rng.choice([2, 3, 3, 4, 4, 5])
    channel_axis = rng.choice([rank - 1, rank - 1, 1])
    space = [a for a in range(1, rank) if a != channel_axis]
    axes = (*sorted(rng.sample(space, rng.randint(0, len(space)))), channel_axis)
    size, shape = rng.choice(SIZES), [rng.randint(1, 5) for _ in range(rank)]
    shape[channel_axis] = size * rng.randint(1, 4)
    return tuple(shape), axes, size, rng.choice(sorted(VALUE)), rng.choice(OFFSETS)


def numerics(times, seed):
    """Values and gradients of `times` random cases; constant inputs among them."""
    import keras

    import lng_keras
    from tests.lng_keras.gradients import to_numpy, value_and_vjp

    jax = keras.backend.backend() == "jax"
    rng, lost, worst = random.Random(seed), [], dict.fromkeys(VALUE, (0.0, 0.0))
    for i in range(times):
        shape, axes, size, dtype, offset = draw(rng)
        case = f"case {i}: shape {shape} axes {axes} groups of {size} {dtype} {offset}"
        numbers = np.random.default_rng([seed, i])
        x, dy = numbers.normal(size=(2, *shape))
        constant = rng.random() < 0.05
        x = np.full(shape, offset + 1.0) if constant else x + offset
        gamma, beta = numbers.normal(size=(2, shape[axes[-1]])).astype("float32")
        x, dy = (keras.ops.cast(a.astype("float32"), dtype) for a in (x, dy))

        def fn(x, gamma, beta, axes=axes, size=size):
            return lng_keras.group_layer_normalization(
                x, gamma, beta, group_size=size, axis=axes
            )

        inputs = [x, *map(keras.ops.convert_to_tensor, (gamma, beta))]
        # On JAX each case is compiled, which takes 0.3 s; primitive by primitive 0.5 s.
        found, gradients = value_and_vjp(fn, inputs, dy, jit=jax)
        if jax and i % 500 == 499:
            sys.modules["jax"].clear_caches()  # what is compiled takes 1 MB a case
        rounded = [
            to_numpy(keras.ops.cast(a, "float32")).astype("float64") for a in (x, dy)
        ]
        groups = shape[axes[-1]] // size
        wanted = reference.normalize(rounded[0], gamma, beta, groups, axes)
        slopes = reference.gradients(rounded[0], gamma, rounded[1], groups, axes)
        pairs = zip([found, *gradients], [wanted, *slopes], strict=True)
        arrays = [(as_float64(a), b) for a, b in pairs]
        if not all(np.isfinite(a).all() for a, _ in arrays):
            lost.append(f"{case}: not finite")
            continue
        if constant:
            continue  # 1 / sqrt(epsilon) magnifies any rounding: finite is the claim
        scale = max(1.0, np.abs(wanted).max())
        value = np.abs(arrays[0][0] - wanted).max() / scale
        gradient = max(distance(a, b) for a, b in arrays[1:])
        worst[dtype] = tuple(map(max, worst[dtype], (value, gradient)))
        if value > VALUE[dtype] or gradient > GRADIENT[dtype]:
            lost.append(f"{case}: value {value:.1e}, gradient {gradient:.1e}")
    summary = [
        f"{dtype}: largest error {value:.1e} (bar {VALUE[dtype]:.1e}), "
        f"of a gradient {gradient:.1e} (bar {GRADIENT[dtype]:.1e})"
        for dtype, (value, gradient) in worst.items()
    ]
    summary.append(f"{times} random cases, not finite or above a bar: {len(lost)}")
    return Outcome(times, "\n".join(summary), lost)


def as_float64(tensor):
    import keras

    from tests.lng_keras.gradients import to_numpy

    return to_numpy(keras.ops.cast(tensor, "float32")).astype("float64")


def distance(found, wanted):
    """Norm-wise and relative; a gradient that vanishes is compared with 1."""
    return np.linalg.norm(found - wanted) / max(1.0, np.linalg.norm(wanted))
