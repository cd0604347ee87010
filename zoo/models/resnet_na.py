"""ResNet with or without activations ("ResNet-NA"), for CIFAR and ImageNet.

Papers: He et al., Deep Residual Learning for Image Recognition, CVPR 2016,
arXiv:1512.03385; Ni et al., On the Nonlinearity of Layer Normalization, ICML 2024,
arXiv:2406.01255, which removes the activations so that nothing but the
normalization is nonlinear.

Intended differences from He et al.: CIFAR shortcuts that change shape are 1x1
convolutions with a norm (He's option B), not padded identities, and the stride of a
bottleneck is in its 3x3 convolution (ResNet "v1.5"). Without activations the
max-pool of the ImageNet stem, which is nonlinear, becomes an average pool, and the
initial weights have variance 1 / fan_in, for the 2 of He's 2 / fan_in makes up for
what ReLU removes.
"""

import keras

layers = keras.layers


def build(
    norm,
    num_classes=10,
    input_shape=(32, 32, 3),
    depth=20,
    width=None,
    activation=None,
):
    """stem -> stages of residual units -> mean over space -> Dense.

    Args:
        norm: callable `norm(name=...) -> layer`, applied to `(b, h, w, c)`, after
            every convolution.
        num_classes: int, the number of logits.
        input_shape: `(height, width, channels)`.
        depth: int. 18, 34 or 50: the ImageNet network. Any other 6n + 2 (8, 14, 20,
            32, 44, 56, 110): the CIFAR network.
        width: int or None, channels of the first stage; later stages double it.
            None: 16 for CIFAR, 64 for ImageNet.
        activation: None, or a Keras activation name such as "relu", after each norm
            but the shortcut's and after each addition, as He et al. place it.

    Returns:
        `keras.Model` from `(b, *input_shape)` to float32 logits `(b, num_classes)`.
        Layers: `stem_conv`, `stem_norm`, `stage1_unit1_conv1`, `..._norm1`,
        `..._conv2`, `..._norm2`, `..._shortcut_conv`, `..._shortcut_norm`,
        `..._add`, `pool`, `logits`; with an activation also `stem_activation`,
        `..._activation1`, and so on, the last of a unit after its addition.

    Raises:
        ValueError: for a depth that is neither, or a width < 1.
    """
    if width is not None and width < 1:
        raise ValueError(f"`width` must be >= 1. Received: width={width}")
    if depth in IMAGENET:
        unit, units = IMAGENET[depth]
        width = width or 64
    elif depth >= 8 and depth % 6 == 2:
        unit, units = _basic, ((depth - 2) // 6,) * 3
        width = width or 16
    else:
        raise ValueError(
            f"`depth` must be 6n + 2 (8, 14, 20, ...) for the CIFAR network or one of "
            f"{', '.join(map(str, IMAGENET))} for the ImageNet one. "
            f"Received: depth={depth}"
        )

    inputs = keras.Input(input_shape, name="images")
    if depth in IMAGENET:
        x = _convolve(inputs, norm, "stem_{}", width, 7, 2, activation)
        pool = layers.AveragePooling2D if activation is None else layers.MaxPooling2D
        x = pool(3, 2, padding="same", name="stem_pool", **_LAST)(x)
    else:
        x = _convolve(inputs, norm, "stem_{}", width, 3, 1, activation)

    for stage, count in enumerate(units, start=1):
        for i in range(1, count + 1):
            stride = 2 if stage > 1 and i == 1 else 1
            name = f"stage{stage}_unit{i}_{{}}"
            x = unit(x, norm, name, width * 2 ** (stage - 1), stride, activation)

    x = layers.GlobalAveragePooling2D(name="pool", **_LAST)(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name=f"resnet{depth}_na")


def _basic(x, norm, name, width, stride, activation):
    """Two 3x3 convolutions and a shortcut. Input (b, h, w, c)."""
    y = _convolve(x, norm, name, width, 3, stride, activation, 1)
    y = _convolve(y, norm, name, width, 3, 1, None, 2, activation)
    return _join(x, y, norm, name, stride, activation, 2)


def _bottleneck(x, norm, name, width, stride, activation):
    """1x1, 3x3 and 1x1 convolutions, the last 4 times wider, and a shortcut."""
    y = _convolve(x, norm, name, width, 1, 1, activation, 1)
    y = _convolve(y, norm, name, width, 3, stride, activation, 2)
    y = _convolve(y, norm, name, 4 * width, 1, 1, None, 3, activation)
    return _join(x, y, norm, name, stride, activation, 3)


def _join(x, y, norm, name, stride, activation, last):
    """Adds the branch `y` to `x`, or to a projection of `x` if shapes differ."""
    if x.shape != y.shape:
        shortcut = name.format("shortcut_{}")
        x = _convolve(x, norm, shortcut, y.shape[-1], 1, stride, None, "", activation)
    y = layers.Add(name=name.format("add"))([x, y])
    if activation is not None:
        y = layers.Activation(activation, name=name.format(f"activation{last}"))(y)
    return y


def _convolve(
    x, norm, name, width, kernel, stride, activation, number="", initializer_for=None
):
    """Convolution, norm and, unless it is None, the activation."""
    linear = (activation or initializer_for) is None
    x = layers.Conv2D(
        width,
        kernel,
        stride,
        padding="same",
        use_bias=False,  # the norm that follows has an offset
        kernel_initializer="lecun_normal" if linear else "he_normal",
        name=name.format(f"conv{number}"),
        **_LAST,
    )(x)
    x = norm(name=name.format(f"norm{number}"))(x)
    if activation is not None:
        x = layers.Activation(activation, name=name.format(f"activation{number}"))(x)
    return x


# Channels last, whatever ~/.keras/keras.json says: the norms' axes rely on it.
_LAST = {"data_format": "channels_last"}

# He et al., table 1: unit and units of each stage.
IMAGENET = {
    18: (_basic, (2, 2, 2, 2)),
    34: (_basic, (3, 4, 6, 3)),
    50: (_bottleneck, (3, 4, 6, 3)),
}
