"""LN-Net: linear and normalization layers alternating, and nothing else.

Paper: Ni et al., On the Nonlinearity of Layer Normalization, ICML 2024,
arXiv:2406.01255. Defaults and layout are those of the authors' random-label
experiments: a norm after every hidden layer, none on the outputs, no activation.
"""

import keras


def build(norm, num_classes=10, input_shape=(32, 32, 3), depth=4, width=100):
    """Flatten -> [Dense(width), norm] x depth -> Dense(num_classes).

    Args:
        norm: callable `norm(name=...) -> layer`, applied to `(b, width)`.
        num_classes: int, the number of logits.
        input_shape: shape of one example, any rank.
        depth: int >= 1, hidden layers. Layer names: `hidden1`, `norm1`, ...
        width: int >= 1, neurons of each hidden layer.

    Returns:
        `keras.Model` from `(b, *input_shape)` to float32 logits `(b, num_classes)`.
    """
    for name, value in (("depth", depth), ("width", width)):
        if value < 1:
            raise ValueError(f"`{name}` must be >= 1. Received: {name}={value}")
    inputs = keras.Input(input_shape, name="images")
    x = keras.layers.Flatten(name="flatten")(inputs)
    for i in range(1, depth + 1):
        x = keras.layers.Dense(width, name=f"hidden{i}")(x)
        x = norm(name=f"norm{i}")(x)
    logits = keras.layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="ln_net")
