"""What runs on JAX, and how it is timed there.

JAX has no CUDA events. So calls are dispatched one after the other without waiting,
over inputs that take turns so that none is still in the cache, and only the last is
waited for: seconds over calls, nothing subtracted. While a kernel runs longer than a
dispatch takes (`dispatch` in environment.json), that is the kernel's time.
"""

import functools
import math
import time

import jax
import jax.numpy as jnp
import numpy as np
from keras import ops

from experiments.speed.gpu.cases import EPSILON, OURS, PALLAS
from lng_keras import group_layer_normalization

# XLA's compiler works outside of Python's lock.
AT_ONCE = 8
# Bytes of the inputs that take turns: several times the cache of an H100 (50 MB).
IN_TURN = 256e6


def has_gpu():
    return jax.default_backend() == "gpu"


def put(array, dtype):
    return jnp.asarray(array, dtype)


def numpy(tensor):
    return np.asarray(tensor.astype("float32"))


def tiled(block, shape):
    return jnp.tile(block, (math.prod(shape[:-1]) // len(block), 1)).reshape(shape)


@jax.jit
def worst(actual, desired):
    """The largest difference over the largest of `desired`, on the card."""
    return jnp.abs(actual.astype("float32") - desired).max() / jnp.abs(desired).max()


def normalizations(size):
    """Returns dict name -> function of x, gamma and beta."""
    return {
        OURS: functools.partial(
            group_layer_normalization, group_size=size, epsilon=EPSILON
        ),
        "plain, XLA": functools.partial(_plain, size=size),
        "Keras LayerNormalization": _on_groups(_keras, size),
        PALLAS: _on_groups(_pallas, size),
    }


def _plain(x, gamma, beta, size):
    z = x.reshape(*x.shape[:-1], -1, size).astype("float32")
    z = z - z.mean(-1, keepdims=True)
    z = z * jax.lax.rsqrt((z * z).mean(-1, keepdims=True) + EPSILON)
    return (z.reshape(x.shape) * gamma + beta).astype(x.dtype)


def _on_groups(layer_norm, size):
    """A normalization of the last axis, on groups; scaled by itself where it can."""

    def normalize(x, gamma, beta):
        rows = x.reshape(-1, x.shape[-1] // size, size)
        if rows.shape[1] == 1:
            return layer_norm(rows, gamma, beta).reshape(x.shape)
        one, zero = jnp.ones(size, x.dtype), jnp.zeros(size, x.dtype)
        return layer_norm(rows, one, zero).reshape(x.shape) * gamma + beta

    return normalize


def _keras(x, gamma, beta):
    return ops.layer_normalization(x, gamma, beta, axis=-1, epsilon=EPSILON)


def _pallas(x, gamma, beta):
    from jax.experimental.pallas.ops.gpu.layer_norm import layer_norm

    return layer_norm(x, gamma, beta, eps=EPSILON, interpret=not has_gpu())


def passes(name, normalize):
    """Returns dict pass -> (what is done before, what is timed).

    Both are compiled. Before: state from x, gamma, beta and dy. XLA computes again for
    the gradient what is worth it, so all of it is timed; the Pallas peer keeps its
    statistics, and is given them.
    """

    def of_x(x, gamma, beta):
        return jax.vjp(lambda x: normalize(x, gamma, beta), x)[1]

    def of_all(x, gamma, beta):
        return jax.vjp(normalize, x, gamma, beta)[1]

    found = {"forward": (_as_given, jax.jit(lambda x, g, b, dy: normalize(x, g, b)))}
    for what, derivative in (("dx", of_x), ("gradient", of_all)):
        found[what] = _pair(derivative, apart=name == PALLAS)
    return found


def _pair(derivative, apart):
    if apart:
        before = jax.jit(lambda x, g, b, dy: (derivative(x, g, b), dy))
        return before, jax.jit(lambda pull, dy: pull(dy))
    return _as_given, jax.jit(lambda x, g, b, dy: derivative(x, g, b)(dy))


def _as_given(*state):
    return state


def copy(count):
    """A copy of as many float32 numbers: (what is timed, its states)."""
    states = [
        (jnp.full(count, i, jnp.float32),) for i in range(inputs_in_turn(4 * count))
    ]
    return jax.jit(jnp.copy), states


def inputs_in_turn(size):
    return max(1, min(8, -(-int(IN_TURN) // size)))


def wait(results):
    return jax.block_until_ready(results)


def seconds(call, states, rounds, burst):
    """Returns seconds a call, one number a round; compiled before."""

    def once(count):
        start = time.perf_counter()
        for i in range(count):
            last = call(*states[i % len(states)])
        jax.block_until_ready(last)
        return (time.perf_counter() - start) / count

    once(3)
    count = int(min(200, max(3, burst / once(3))))
    return [once(count) for _ in range(rounds)]


def dispatch():
    """Seconds between two calls that compute next to nothing."""
    call, states = jax.jit(lambda x: x + 1), [(jnp.zeros(8),)]
    wait(call(*states[0]))
    return min(seconds(call, states, 3, 0.005))
