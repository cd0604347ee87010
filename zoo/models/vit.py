"""Vision Transformer.

Papers: Dosovitskiy et al., An Image is Worth 16x16 Words, ICLR 2021,
arXiv:2010.11929; Touvron et al., DeiT, ICML 2021, arXiv:2012.12877 (Ti and S).
Pre-norm, learned positions. Intended differences: the classifier is one Dense
layer without the paper's hidden layer for pre-training, and the default model is a
small one for 32 x 32 images which averages its tokens instead of adding one.
"""

import keras
from keras import ops

layers = keras.layers


def build(
    norm,
    num_classes=10,
    input_shape=(32, 32, 3),
    depth=6,
    width=64,
    heads=4,
    mlp_ratio=4,
    patch_size=None,
    pool="mean",
    dropout=0.0,
    stochastic_depth=0.0,
):
    """patches -> tokens -> blocks of attention and MLP -> norm -> pool -> Dense.

    Args:
        norm: callable `norm(name=...) -> layer`, applied to `(b, n, c)` before the
            attention and the MLP of each block and after the last block.
        num_classes: int, the number of logits.
        input_shape: `(height, width, channels)`.
        depth: int >= 1, blocks.
        width: int, channels of a token; a multiple of `heads`.
        heads: int >= 1, attention heads of `width / heads` channels.
        mlp_ratio: hidden channels of an MLP as a multiple of `width`.
        patch_size: int, side of a square patch in pixels; divides height and width.
            None: 4 up to 64 pixels a side, 16 above.
        pool: "mean" of the tokens, or "token": a learned class token is read.
        dropout: fraction in [0, 1) dropped after the positions, the attention and
            both layers of an MLP.
        stochastic_depth: fraction in [0, 1) of examples for which the last block's
            branches are dropped; it grows linearly from 0 at the first block.

    Returns:
        `keras.Model` from `(b, *input_shape)` to float32 logits `(b, num_classes)`.
        Layers: `patches`, `tokens`, `positions`, `block1_norm1`,
        `block1_attention`, `block1_add1`, `block1_norm2`, `block1_mlp_hidden`,
        `block1_mlp_output`, `block1_add2`, ..., `final_norm`, `pool`, `logits`.

    Raises:
        ValueError: for a patch that does not divide the image, heads that do not
            divide the width, an unknown `pool`, or sizes < 1.
    """
    height, image_width, _ = input_shape
    if patch_size is None:
        patch_size = 4 if max(height, image_width) <= 64 else 16
    sizes = dict(depth=depth, width=width, heads=heads, patch_size=patch_size)
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"`{name}` must be >= 1. Received: {name}={value}")
    if height % patch_size or image_width % patch_size:
        raise ValueError(
            "`patch_size` must divide the height and width of the image. "
            f"Received: patch_size={patch_size}, image {height} x {image_width}"
        )
    if width % heads:
        raise ValueError(
            f"`heads` must divide `width`. Received: heads={heads}, width={width}"
        )
    if pool not in ("mean", "token"):
        raise ValueError(f"`pool` must be 'mean' or 'token'. Received: pool={pool!r}")

    inputs = keras.Input(input_shape, name="images")
    x = layers.Conv2D(
        width, patch_size, patch_size, data_format="channels_last", name="patches"
    )(inputs)
    x = layers.Reshape((-1, width), name="tokens")(x)  # (b, n, c)
    if pool == "token":
        x = ClassToken(name="class_token")(x)  # (b, 1 + n, c)
    x = PositionEmbedding(name="positions")(x)
    x = _drop(x, dropout, "dropout")
    for i in range(1, depth + 1):
        rate = stochastic_depth * (i - 1) / max(depth - 1, 1)
        x = _block(x, norm, f"block{i}_{{}}", heads, mlp_ratio, dropout, rate)
    x = norm(name="final_norm")(x)
    if pool == "token":
        x = FirstToken(name="pool")(x)
    else:
        x = layers.GlobalAveragePooling1D(data_format="channels_last", name="pool")(x)
    logits = layers.Dense(num_classes, dtype="float32", name="logits")(x)
    return keras.Model(inputs, logits, name="vit")


def _block(x, norm, name, heads, mlp_ratio, dropout, stochastic_depth):
    """x + attention(norm(x)), then x + mlp(norm(x)). Input (b, n, c)."""
    width = x.shape[-1]
    y = norm(name=name.format("norm1"))(x)
    y = layers.MultiHeadAttention(heads, width // heads, name=name.format("attention"))(
        y, y
    )
    y = _drop(y, dropout, name.format("attention_dropout"))
    y = _drop(y, stochastic_depth, name.format("drop_path1"), whole_examples=True)
    x = layers.Add(name=name.format("add1"))([x, y])

    y = norm(name=name.format("norm2"))(x)
    y = layers.Dense(
        int(width * mlp_ratio), activation="gelu", name=name.format("mlp_hidden")
    )(y)
    y = _drop(y, dropout, name.format("mlp_hidden_dropout"))
    y = layers.Dense(width, name=name.format("mlp_output"))(y)
    y = _drop(y, dropout, name.format("mlp_output_dropout"))
    y = _drop(y, stochastic_depth, name.format("drop_path2"), whole_examples=True)
    return layers.Add(name=name.format("add2"))([x, y])


def _drop(x, rate, name, whole_examples=False):
    """Dropout, or stochastic depth if whole examples are dropped. (b, n, c)."""
    if rate == 0:
        return x
    noise_shape = (None, 1, 1) if whole_examples else None
    return layers.Dropout(rate, noise_shape=noise_shape, name=name)(x)


@keras.saving.register_keras_serializable(package="zoo")
class ClassToken(layers.Layer):
    """Puts one learned token before the others: (b, n, c) -> (b, 1 + n, c)."""

    def build(self, input_shape):
        self.token = self.add_weight(
            shape=(1, 1, input_shape[-1]), initializer="zeros", name="token"
        )

    def call(self, x):
        token = ops.cast(self.token, x.dtype)
        token = ops.broadcast_to(token, (ops.shape(x)[0], 1, x.shape[-1]))
        return ops.concatenate([token, x], axis=1)

    def compute_output_shape(self, input_shape):
        return (input_shape[0], input_shape[1] + 1, input_shape[2])


@keras.saving.register_keras_serializable(package="zoo")
class FirstToken(layers.Layer):
    """Keeps the class token alone: (b, 1 + n, c) -> (b, c)."""

    def call(self, x):
        return x[:, 0]


@keras.saving.register_keras_serializable(package="zoo")
class PositionEmbedding(layers.Layer):
    """Adds a learned vector to each token, drawn from N(0, 0.02). (b, n, c)."""

    def build(self, input_shape):
        self.embedding = self.add_weight(
            shape=(1, *input_shape[1:]),
            initializer=keras.initializers.RandomNormal(stddev=0.02),
            name="embedding",
        )

    def call(self, x):
        return x + ops.cast(self.embedding, x.dtype)


# Touvron et al., table 1 (Ti, S); Dosovitskiy et al., table 1 (B).
VARIANTS = {
    "Ti": dict(depth=12, width=192, heads=3, mlp_ratio=4, pool="token"),
    "S": dict(depth=12, width=384, heads=6, mlp_ratio=4, pool="token"),
    "B": dict(depth=12, width=768, heads=12, mlp_ratio=4, pool="token"),
}
