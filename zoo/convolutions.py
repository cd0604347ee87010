"""A faster backward pass of convolutions on TensorFlow's CPU."""

import keras


def speed_up(model):
    """Lets convolutions of stride 1 find their input's gradient by a convolution.

    It is one, of the output's gradient with the kernel turned around, and oneDNN takes
    a third of the time for it that it takes for TensorFlow's Conv2DBackpropInput. The
    sums are the same up to their order. XLA has convolutions of its own.

    Args:
        model: `keras.Model`; its layers and what is saved of them stay what they are.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D) and _is_supported(layer):
            layer.convolution_op = _convolve


def _is_supported(layer):
    return (
        type(layer) is keras.layers.Conv2D
        and layer.padding == "same"
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
