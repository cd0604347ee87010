"""Grouped normalization as a TensorFlow operation, with derivatives of both modes.

TensorFlow makes forward mode of reverse mode: it asks for the derivative of the
gradient, with None for every tensor that has no tangent.
"""

import tensorflow as tf

from lng_keras.kernels import reference
from lng_keras.kernels.contract import Form, at_places
from lng_keras.kernels.spec import Spec, Tensor


def grouped_norm(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec, form: Form
) -> Tensor:
    """The normalized `x`, its value and first derivatives by `form`."""
    # Read here: a variable inside a custom gradient is an error in TensorFlow.
    x = tf.identity(x)
    there = (True, gamma is not None, beta is not None)
    weights = [tf.identity(w) for w in (gamma, beta) if w is not None]

    @tf.custom_gradient
    def run(x, *weights):
        _, gamma, beta = at_places((None, *weights), there)
        y, kept = form.forward(x, gamma, beta, spec)
        return y, lambda dy: gradient(x, weights, kept, dy)

    def gradient(x, weights, kept, dy):
        @tf.custom_gradient
        def first(x, dy, *weights):
            gamma = weights[0] if there[1] else None
            found = [
                tf.cast(g, t.dtype)
                for g, t in zip(
                    form.pull(x, gamma, kept, dy, spec, there),
                    at_places((x, *weights), there),
                    strict=True,
                )
                if g is not None
            ]
            return tuple(found), lambda *upstream: second(x, weights, dy, upstream)

        return first(x, dy, *weights)

    def second(x, weights, dy, upstream):
        # TensorFlow does not see that what is kept depends on x. So these come from
        # the reference, which computes it again, and so do all that follow.
        filled = [
            tf.zeros_like(t) if u is None else u
            for t, u in zip((x, *weights), upstream, strict=True)
        ]
        tangents = at_places(filled, there)
        _, gamma, beta = at_places((x, *weights), there)
        ddy = reference.push(x, gamma, (), *tangents, spec)
        to_x, to_gamma = reference.second(x, gamma, *tangents[:2], dy, spec)
        to_gamma = None if to_gamma is None else tf.cast(to_gamma, gamma.dtype)
        to_beta = None if beta is None else tf.zeros_like(beta)
        return to_x, ddy, *(g for g in (to_gamma, to_beta) if g is not None)

    return run(x, *weights)
