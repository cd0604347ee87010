"""What is timed: our layers and their peers, ready to call, on each backend."""

import keras
import numpy as np
from keras import ops

import lng_keras
from lng_keras import kernels

BACKEND = keras.backend.backend()


def functions(shape, group_size, epsilon, backward):
    """Returns dict name -> callable that runs one pass and waits for its result.

    Args:
        shape: of the input; rows `(n, c)` or a map `(n, h, w, c)`.
        backward: whether to compute the gradients of x, gamma and beta as well.
    """
    rng = np.random.default_rng(0)
    x, dy = (_tensor(rng.normal(size=shape)) for _ in range(2))
    gamma, beta = (_tensor(rng.normal(size=shape[-1])) for _ in range(2))
    result = {
        name: _timed(fn, x, gamma, beta, dy, backward)
        for name, fn in _normalizations(shape, group_size, epsilon).items()
    }
    return {**result, "copy": _copy(x)}


def _normalizations(shape, size, epsilon):
    groups = shape[-1] // size

    def ours(axis):
        return lambda x, gamma, beta: lng_keras.group_layer_normalization(
            x, gamma, beta, group_size=size, axis=axis, epsilon=epsilon
        )

    def plain(x, gamma, beta):
        with kernels.use("reference"):
            return ours(-1)(x, gamma, beta)

    found = {
        "LayerNormalization": lambda x, gamma, beta: ops.layer_normalization(
            x, gamma, beta, axis=-1, epsilon=epsilon
        )
    }
    if len(shape) == 2:
        found["GroupLayerNormalization"] = ours(-1)
    else:
        found["GroupLayerNormalization, position"] = ours(-1)
        found["GroupLayerNormalization, space"] = ours(tuple(range(1, len(shape))))
    found["GroupNormalization"] = _group_normalization(shape, groups, epsilon)
    found["plain reshape"] = plain
    if BACKEND == "torch":
        found.update(_torch_peers(shape, groups, size, epsilon))
    return found


def _group_normalization(shape, groups, epsilon):
    layer = keras.layers.GroupNormalization(groups, epsilon=epsilon)
    layer.build(shape)

    def run(x, gamma, beta):
        variables = zip((layer.gamma, layer.beta), (gamma, beta), strict=True)
        with keras.StatelessScope(list(variables)):
            return layer(x)

    return run


def _torch_peers(shape, groups, size, epsilon):
    from torch.nn import functional

    def layer_norm(x, gamma, beta):
        z = functional.layer_norm(x.view(-1, size), (size,), eps=epsilon)
        return z.view(x.shape) * gamma + beta

    def group_norm(x, gamma, beta):
        return functional.group_norm(x, groups, gamma, beta, eps=epsilon)

    peers = {"F.layer_norm on groups": layer_norm}
    if len(shape) == 2:
        peers["F.group_norm"] = group_norm
    return peers


def _tensor(array):
    return ops.convert_to_tensor(array.astype("float32"))


def _timed(fn, x, gamma, beta, dy, backward):
    if BACKEND == "jax":
        import jax

        def with_gradients(x, gamma, beta, dy):
            y, vjp = jax.vjp(fn, x, gamma, beta)
            return y, vjp(dy)

        compiled = jax.jit(with_gradients if backward else fn)
        inputs = (x, gamma, beta, dy) if backward else (x, gamma, beta)
        return lambda: jax.block_until_ready(compiled(*inputs))
    if BACKEND == "tensorflow":
        import tensorflow as tf

        def with_gradients(x, gamma, beta):
            with tf.GradientTape() as tape:
                tape.watch((x, gamma, beta))
                y = fn(x, gamma, beta)
            return y, tape.gradient(y, (x, gamma, beta), dy)

        compiled = tf.function(with_gradients if backward else fn, jit_compile=True)
        return lambda: tf.nest.map_structure(
            lambda t: t.numpy() is None, compiled(x, gamma, beta)
        )
    import torch

    if not backward:

        def forward():
            with torch.no_grad():
                return fn(x, gamma, beta)

        return forward
    inputs = [t.clone().requires_grad_() for t in (x, gamma, beta)]
    return lambda: torch.autograd.grad(fn(*inputs), inputs, dy)


def _copy(x):
    if BACKEND == "jax":
        import jax

        copy = jax.jit(lambda x: x + 0)
        return lambda: copy(x).block_until_ready()
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return lambda: tf.identity(x + 0).numpy() is None
    return lambda: x.clone()
