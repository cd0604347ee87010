"""Normalizations of Keras models by faster operations, on TensorFlow's CPU without XLA.

There each operation is a pass over memory, and a normalization is a dozen of them.
"""

import functools
import warnings

import keras
from keras import ops

from lng_keras import GroupLayerNormalization, functional
from lng_keras._base.private.layers import flat
from lng_keras._base.private.names import NameGone


def speed_up(model):
    """Changes how layers compute; what they are, save and restore stays the same.

    BatchNormalization trains by TensorFlow's one fused operation; groups with
    statistics over space are compiled by XLA, for themselves. The sums are the same up
    to their order. (Compiling positions on their own, or one group, gains nothing; nor
    does the input's gradient of a convolution as a convolution.)

    Args:
        model: `keras.Model`.
    """
    try:
        layers = flat(model)
    except NameGone as error:
        warnings.warn(f"Training is slower than it need be: {error}", stacklevel=2)
        return
    for layer in layers:
        if type(layer) is keras.layers.BatchNormalization and _fuses(layer):
            layer.call = _FusedCall(layer)
        elif isinstance(layer, GroupLayerNormalization) and _has_groups_in_space(layer):
            layer.call = _compiled_call(layer)


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
    import tensorflow as tf

    def run(x, gamma, beta):
        return functional.normalize_checked(x, gamma, beta, spec)

    return tf.function(run, jit_compile=True, autograph=False)


def _fuses(layer):
    return (
        layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.center
        and layer.scale
        and not layer.renorm
        and layer.compute_dtype == "float32"
    )


class _FusedCall:
    """`BatchNormalization.call` of `(b, h, w, c)`."""

    def __init__(self, layer):
        self._layer, self._plain = layer, layer.call

    def __call__(self, inputs, training=None, mask=None):
        import tensorflow as tf

        layer = self._layer
        if not training or not layer.trainable or mask is not None:
            return self._plain(inputs, training=training, mask=mask)
        outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
            tf.convert_to_tensor(inputs),
            tf.convert_to_tensor(layer.gamma),
            tf.convert_to_tensor(layer.beta),
            epsilon=layer.epsilon,
            is_training=True,
        )
        # Its variance is divided by n - 1, Keras' by n.
        n = tf.cast(tf.size(inputs) / inputs.shape[-1], tf.float32)
        for average, value in (
            (layer.moving_mean, mean),
            (layer.moving_variance, variance * (n - 1) / n),
        ):
            average.assign(average * layer.momentum + value * (1 - layer.momentum))
        return outputs
