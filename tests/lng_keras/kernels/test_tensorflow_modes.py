"""Derivatives on TensorFlow: forward mode, and both modes over each other."""

import numpy as np
import pytest

import lng_keras
from lng_keras import kernels

pytestmark = pytest.mark.only("tensorflow", reason="ForwardAccumulator is TensorFlow's")

# (shape, axis, group_size, subtract_mean): each form, and one without the mean.
CASES = [
    ((5, 24), -1, 4, True),
    ((2, 3, 4, 24), (1, 2, 3), 8, True),
    ((2, 24, 3), 1, 8, False),
]
WAYS = {"eager": None, "graph": False, "xla": True}


def tensors(shape, axis):
    import tensorflow as tf

    rng = np.random.default_rng(0)
    channels = shape[axis if isinstance(axis, int) else axis[-1]]
    shapes = [shape, (channels,), (channels,)]
    # Twice: where derivatives are taken, and along which.
    return [
        [tf.constant(rng.normal(size=s), "float32") for s in shapes] for _ in range(2)
    ]


def cubes(axis, size, subtract_mean):
    """A function that is not linear in the norm, so that no second one is zero."""
    import tensorflow as tf

    def fn(x, gamma=None, beta=None):
        y = lng_keras.group_layer_normalization(
            x, gamma, beta, group_size=size, axis=axis, subtract_mean=subtract_mean
        )
        return tf.reduce_sum(y**3)

    return fn


def pushed(fn, at, along):
    import tensorflow as tf

    with tf.autodiff.ForwardAccumulator(tuple(at), tuple(along)) as accumulator:
        value = fn(*at)
    return accumulator.jvp(value)


def gradient(fn, at):
    import tensorflow as tf

    with tf.GradientTape() as tape:
        tape.watch(at)
        value = fn(*at)
    return tape.gradient(value, at)


def jvp(fn, at, along):
    return [pushed(fn, at, along)]


def jvp_of_x_alone(fn, at, along):
    return [pushed(lambda x: fn(x, *at[1:]), at[:1], along[:1])]


def jvp_of_gamma_alone(fn, at, along):
    return [pushed(lambda gamma: fn(at[0], gamma, at[2]), at[1:2], along[1:2])]


def forward_over_reverse(fn, at, along):
    return pushed(lambda *at: gradient(fn, at), at, along)


def reverse_over_reverse(fn, at, along):
    import tensorflow as tf

    def slope(*at):
        pairs = zip(gradient(fn, at), along, strict=True)
        return tf.add_n([tf.reduce_sum(g * v) for g, v in pairs])

    return gradient(slope, at)


def reverse_over_forward(fn, at, along):
    return gradient(lambda *at: pushed(fn, at, along), at)


def without_weights(fn, at, along):
    return forward_over_reverse(fn, at[:1], along[:1])


def reverse_over_reverse_over_reverse(fn, at, along):
    import tensorflow as tf

    def slope(*at):
        found = reverse_over_reverse(fn, at, along)
        pairs = zip(found, along, strict=True)
        return tf.add_n([tf.reduce_sum(g * v) for g, v in pairs])

    return gradient(slope, at)


MODES = [
    jvp,
    jvp_of_x_alone,
    jvp_of_gamma_alone,
    forward_over_reverse,
    reverse_over_reverse,
    reverse_over_forward,
    without_weights,
]
# The third derivative is plain operations, of which XLA takes long to compile.
CASES_OF_MODES = [(mode, way) for mode in MODES for way in WAYS]
CASES_OF_MODES += [(reverse_over_reverse_over_reverse, "eager")]


@pytest.mark.parametrize(("mode", "way"), CASES_OF_MODES)
def test_every_mode_gives_the_derivatives_of_the_reference(mode, way):
    import tensorflow as tf

    for shape, axis, *arguments in CASES:
        at, along = tensors(shape, axis)
        fn = cubes(axis, *arguments)

        def run(at, along, fn=fn):
            return mode(fn, at, along)

        if WAYS[way] is not None:
            run = tf.function(run, jit_compile=WAYS[way], autograph=False)
        found = run(at, along)
        with kernels.use("reference"):
            wanted = mode(fn, at, along)
        for a, b in zip(found, wanted, strict=True):
            assert np.linalg.norm(b) > 1e-2
            assert np.linalg.norm(a - b) <= 1e-5 * np.linalg.norm(b)
