"""Keras' BatchNormalization of maps by a backend's one fused operation.

Without a compiler each operation is a pass over memory, and Keras' is a dozen of them.
"""

import keras


def fuses(layer):
    """Whether `FusedCall` computes what this layer does in training."""
    return (
        type(layer) is keras.layers.BatchNormalization
        and layer.input_spec.ndim == 4
        and layer.axis in (-1, 3)
        and layer.center
        and layer.scale
        and not layer.renorm
        and layer.compute_dtype == "float32"
    )


class FusedCall:
    """`BatchNormalization.call` of `(b, h, w, c)`.

    Args:
        layer: one that `fuses`.
        fused: function of inputs, gamma, beta and epsilon that returns the normalized
            inputs, and the means and biased variances they were normalized with.
    """

    def __init__(self, layer, fused):
        self._layer, self._plain, self._fused = layer, layer.call, fused

    def __call__(self, inputs, training=None, mask=None):
        layer = self._layer
        if not training or not layer.trainable or mask is not None:
            return self._plain(inputs, training=training, mask=mask)
        tensors = map(keras.ops.convert_to_tensor, (inputs, layer.gamma, layer.beta))
        outputs, mean, variance = self._fused(*tensors, layer.epsilon)
        for average, value in (
            (layer.moving_mean, mean),
            (layer.moving_variance, variance),
        ):
            average.assign(average * layer.momentum + value * (1 - layer.momentum))
        return outputs
