"""Layers of Keras by faster operations, on TensorFlow's CPU without XLA.

There each operation is a pass over memory, and a normalization is a dozen of them.
"""

import functools

import tensorflow as tf
from keras import ops

from lng_keras import GroupLayerNormalization, functional
from zoo.devices.batch_norm import FusedCall, fuses


def speed_up(layers):
    """Normalizations by one operation each.

    BatchNormalization trains by TensorFlow's one fused operation; groups with
    statistics over space are compiled by XLA, for themselves. The sums are the same up
    to their order. (Compiling positions on their own, or one group, gains nothing; nor
    does the input's gradient of a convolution as a convolution.)

    Args:
        layers: list of the layers of a model.
    """
    for layer in layers:
        if fuses(layer):
            layer.call = FusedCall(layer, _fused)
        elif isinstance(layer, GroupLayerNormalization) and _has_groups_in_space(layer):
            layer.call = _compiled_call(layer)


def _fused(inputs, gamma, beta, epsilon):
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        *(inputs, gamma, beta), epsilon=epsilon, is_training=True
    )
    # Its variance is divided by n - 1, Keras' by n.
    n = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
    return outputs, mean, variance * (n - 1) / n


def _has_groups_in_space(layer):
    several = layer._spec.groups > 1 and len(layer._spec.axes) > 1
    return several and layer.compute_dtype == "float32"


def _compiled_call(layer):
    """`GroupLayerNormalization.call` in float32."""
    run = _compiled(layer._spec)

    def call(inputs):
        return run(
            ops.cast(inputs, "float32"),
            *(None if w is None else w.value for w in (layer.gamma, layer.beta)),
        )

    return call


@functools.cache
def _compiled(spec):
    """One function for all layers of a kind, so that XLA compiles each shape once."""

    def run(x, gamma, beta):
        return functional.normalize_checked(x, gamma, beta, spec)

    return tf.function(run, jit_compile=True, autograph=False)
