"""Layers of Keras by other operations, faster on TensorFlow's CPU without XLA."""

import keras

from lng_keras import GroupLayerNormalization, PositionalGroupLayerNormalization

_GROUPED = (GroupLayerNormalization, PositionalGroupLayerNormalization)
layers = keras.layers


def speed_up(model):
    """Changes how layers compute; what they are, save and restore stays the same.

    Convolutions of stride 1 find their input's gradient by a convolution, that of the
    output's gradient with the kernel turned around: oneDNN takes less time for it than
    for TensorFlow's Conv2DBackpropInput. BatchNormalization trains by TensorFlow's one
    fused operation and LN-G is compiled by XLA, instead of a dozen passes over memory.
    The sums are the same up to their order.

    Args:
        model: `keras.Model`.
    """
    import tensorflow as tf

    for layer in model._flatten_layers():
        if type(layer) is layers.Conv2D and _turns(layer):
            layer.convolution_op = _convolve
        elif type(layer) is layers.BatchNormalization and _fuses(layer):
            layer.call = _FusedCall(layer)
        elif isinstance(layer, _GROUPED):
            layer.call = tf.function(layer.call, jit_compile=True, autograph=False)


def restore(model):
    """Undoes `speed_up`, for formats that know plain operations only."""
    for layer in model._flatten_layers():
        for name in {"convolution_op", "call"} & vars(layer).keys():
            delattr(layer, name)


def _turns(layer):
    return (
        layer.padding == "same"
        and layer.groups == 1
        and layer.data_format == "channels_last"
        and set(layer.strides) == set(layer.dilation_rate) == {1}
        and all(size % 2 for size in layer.kernel_size)
    )


def _convolve(inputs, kernel):
    """`Conv2D.convolution_op` for odd kernels, stride 1 and padding "same"."""
    import tensorflow as tf

    @tf.custom_gradient
    def run(inputs, kernel):
        def gradient(upstream):
            turned = tf.transpose(kernel[::-1, ::-1], (0, 1, 3, 2))
            return (
                tf.nn.conv2d(upstream, turned, 1, "SAME"),
                tf.raw_ops.Conv2DBackpropFilter(
                    input=inputs,
                    filter_sizes=tf.shape(kernel),
                    out_backprop=upstream,
                    strides=[1, 1, 1, 1],
                    padding="SAME",
                ),
            )

        return tf.nn.conv2d(inputs, kernel, 1, "SAME"), gradient

    return run(inputs, tf.convert_to_tensor(kernel))


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
