"""A function's value and its vector-Jacobian product, on the running backend."""

import keras
import numpy as np
from keras import ops


def value_and_vjp(function, inputs, dy, jit=False):
    """Returns `function(*inputs)` and the gradients of sum(output * dy), as NumPy."""
    backend = keras.backend.backend()
    inputs = [ops.convert_to_tensor(x) for x in inputs]
    dy = ops.convert_to_tensor(dy)
    if backend == "jax":
        import jax

        def run(inputs, dy):
            y, vjp = jax.vjp(function, *inputs)
            return y, vjp(dy)

        y, found = (jax.jit(run) if jit else run)(tuple(inputs), dy)
    elif backend == "tensorflow":
        import tensorflow as tf

        def run(inputs, dy):
            with tf.GradientTape() as tape:
                tape.watch(inputs)
                y = function(*inputs)
            return y, tape.gradient(y, inputs, dy)

        run = tf.function(run, jit_compile=True) if jit else run
        y, found = run(inputs, dy)
    else:
        import torch

        inputs = [x.detach().clone().requires_grad_() for x in inputs]
        y = function(*inputs)
        found = torch.autograd.grad(y, inputs, dy)
        y = y.detach()
    return to_numpy(y), [to_numpy(g) for g in found]


def to_numpy(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))
