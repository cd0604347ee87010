"""Grouped normalization on TensorFlow, with a backward pass of its own.

Between the passes only `x` and two numbers a group are kept.
"""

from typing import Any

import tensorflow as tf

from lng_keras.kernels import reference, summed
from lng_keras.kernels.spec import Spec, Tensor, weight_tensor


def normalize(x: Tensor, gamma: Any, beta: Any, spec: Spec, kernel: str) -> Tensor:
    """As `reference.normalize`."""
    gamma, beta = weight_tensor(gamma), weight_tensor(beta)
    form = summed if summed.supports(x, spec) else reference
    # Read here: a variable inside a custom gradient is an error in TensorFlow.
    x = tf.identity(x)
    weights = [tf.identity(w) for w in (gamma, beta) if w is not None]

    def unpack(weights):
        weights = list(weights)
        return tuple(None if w is None else weights.pop(0) for w in (gamma, beta))

    @tf.custom_gradient
    def run(x, *weights):
        gamma, beta = unpack(weights)
        y, kept = form.forward(x, gamma, beta, spec)

        def gradient(dy):
            return _gradient(x, weights, kept, dy)

        return y, gradient

    def _gradient(x, weights, kept, dy):
        # TensorFlow does not see that what is kept depends on x, so the second
        # derivative is that of the reference form instead of this function's own.
        @tf.custom_gradient
        def first(x, dy, *weights):
            gamma, beta = unpack(weights)
            wanted = (True, gamma is not None, beta is not None)
            found = form.pull(x, gamma, kept, dy, spec, wanted)
            grads = [g for g in found if g is not None]

            def second(*upstream):
                with tf.GradientTape() as outer:
                    outer.watch((x, dy, weights))
                    with tf.GradientTape() as inner:
                        inner.watch((x, weights))
                        y = reference.normalize(x, *unpack(weights), spec)
                    first_order = inner.gradient(y, (x, *weights), dy)
                return outer.gradient(
                    first_order,
                    (x, dy, *weights),
                    upstream,
                    unconnected_gradients=tf.UnconnectedGradients.ZERO,
                )

            return tuple(
                tf.cast(g, t.dtype) for g, t in zip(grads, (x, *weights), strict=True)
            ), second

        return first(x, dy, *weights)

    return run(x, *weights)
