"""Encoder-decoder Transformer for translation.

Papers: Vaswani et al., Attention Is All You Need, NeurIPS 2017, arXiv:1706.03762;
Xiong et al., On Layer Normalization in the Transformer Architecture, ICML 2020,
arXiv:2002.04745 (pre-norm, with a norm after the last block of each side). Sinusoidal
positions, one matrix for both languages' subwords and the logits, ReLU. Intended
difference: pre-norm is the default, since it trains without a long warm-up.

Built of Keras' own layers: KerasHub's TransformerEncoder and TransformerDecoder keep a
cache but take no normalization, which is what varies here.
"""

import keras
from keras import ops

layers = keras.layers

PAD = 0  # fills up shorter sentences


def build(
    norm,
    num_classes=8000,
    depth=2,
    width=128,
    heads=4,
    mlp_ratio=4,
    dropout=0.0,
    norm_position="pre",
    tokenizer=None,
):
    """subwords -> encoder; subwords so far -> decoder that attends to it -> logits.

    Args:
        norm: callable `norm(name=...) -> layer`, applied to `(b, n, c)`. It must keep
            positions apart: statistics over them would tell what comes later.
        num_classes: int, subwords of both languages together; id 0 is padding.
        depth: int >= 1, blocks of the encoder, and as many of the decoder.
        width: int, channels of a subword; a multiple of `heads`.
        heads: int >= 1, attention heads of `width / heads` channels.
        mlp_ratio: hidden channels of an MLP as a multiple of `width`.
        dropout: fraction in [0, 1) dropped after the positions, within and after the
            attention, and after both layers of an MLP.
        norm_position: "pre", before each branch and once at the end of each side, or
            "post", after each branch is added, as first published.
        tokenizer: str or None, how text becomes subwords; the model keeps it, wherever
            it is saved or changed. See zoo/data/subwords.py.

    Returns:
        `keras.Model` from `[source, target]`, int32 ids `(b, s)` and `(b, t)`, the
        target beginning with its start mark, to float32 logits `(b, t, num_classes)`
        of what follows each subword of the target. Layers: `embedding`,
        `source_positions`, `encoder_block1_norm1`, `encoder_block1_attention`,
        `encoder_block1_add1`, ..., `encoder_final_norm`, `target_positions`,
        `decoder_block1_norm1`, `decoder_block1_attention`, ..., `_cross_attention`,
        ..., `_mlp_hidden`, `_mlp_output`, ..., `decoder_final_norm`, `logits`.

    Raises:
        ValueError: for heads that do not divide the width, an odd width, an unknown
            `norm_position`, or sizes < 1.
    """
    sizes = dict(num_classes=num_classes, depth=depth, width=width, heads=heads)
    for name, value in sizes.items():
        if value < 1:
            raise ValueError(f"`{name}` must be >= 1. Received: {name}={value}")
    if width % heads or width % 2:
        raise ValueError(
            "`heads` must divide `width`, which must be even. "
            f"Received: heads={heads}, width={width}"
        )
    if norm_position not in ("pre", "post"):
        raise ValueError(
            "`norm_position` must be 'pre' or 'post'. "
            f"Received: norm_position={norm_position!r}"
        )
    source = keras.Input((None,), dtype="int32", name="source")
    target = keras.Input((None,), dtype="int32", name="target")
    embedding = SubwordEmbedding(num_classes, width, tokenizer, name="embedding")
    side = dict(norm=norm, dropout=dropout, pre=norm_position == "pre")

    visible = Visible(name="source_visible")(source)  # (b, 1, s)
    x = SinusoidalPositions(name="source_positions")(embedding(source))
    x = _drop(x, dropout, "source_dropout")
    for i in range(1, depth + 1):
        name = f"encoder_block{i}_{{}}"
        x = _branch(x, _attention(heads, name, dropout, visible), "1", name, **side)
        x = _branch(x, _mlp(mlp_ratio, name, dropout), "2", name, **side)
    encoded = norm(name="encoder_final_norm")(x) if side["pre"] else x

    x = SinusoidalPositions(name="target_positions")(embedding(target))
    x = _drop(x, dropout, "target_dropout")
    for i in range(1, depth + 1):
        name = f"decoder_block{i}_{{}}"
        x = _branch(x, _attention(heads, name, dropout), "1", name, **side)
        cross = _attention(heads, name, dropout, visible, encoded)
        x = _branch(x, cross, "2", name, **side)
        x = _branch(x, _mlp(mlp_ratio, name, dropout), "3", name, **side)
    if side["pre"]:
        x = norm(name="decoder_final_norm")(x)
    logits = layers.Activation("linear", dtype="float32", name="logits")(
        embedding(x, reverse=True)
    )
    return keras.Model([source, target], logits, name="transformer")


def _branch(x, function, number, name, norm, dropout, pre):
    """x + function(norm(x)), or norm(x + function(x)) where `pre` is false."""
    normalize = norm(name=name.format("norm" + number))
    y = function(normalize(x) if pre else x)
    y = _drop(y, dropout, name.format("dropout" + number))
    x = layers.Add(name=name.format("add" + number))([x, y])
    return x if pre else normalize(x)


def _attention(heads, name, dropout, visible=None, encoded=None):
    """Returns y -> attention to `encoded`, or to y itself; causal if all is visible."""

    def attend(y):
        width = y.shape[-1]
        kind = "attention" if encoded is None else "cross_attention"
        attention = layers.MultiHeadAttention(
            heads, width // heads, dropout=dropout, name=name.format(kind)
        )
        if visible is None:
            return attention(y, y, use_causal_mask=True)
        return attention(y, y if encoded is None else encoded, attention_mask=visible)

    return attend


def _mlp(ratio, name, dropout):
    def apply(y):
        width = y.shape[-1]
        hidden = layers.Dense(
            int(width * ratio), activation="relu", name=name.format("mlp_hidden")
        )(y)
        hidden = _drop(hidden, dropout, name.format("mlp_hidden_dropout"))
        return layers.Dense(width, name=name.format("mlp_output"))(hidden)

    return apply


def _drop(x, rate, name):
    return x if rate == 0 else layers.Dropout(rate, name=name)(x)


@keras.saving.register_keras_serializable(package="zoo")
class SubwordEmbedding(layers.Layer):
    """Ids `(b, n)` -> vectors `(b, n, c)`; with `reverse`, vectors -> logits.

    One matrix, drawn from N(0, 1 / c): vectors are multiplied by sqrt(c), as in the
    paper, so that they are as large as the positions.

    Args:
        vocabulary: int, number of ids.
        width: int, c.
        tokenizer: str or None, see `build`.
    """

    def __init__(self, vocabulary, width, tokenizer=None, **kwargs):
        super().__init__(**kwargs)
        self.vocabulary, self.width, self.tokenizer = vocabulary, width, tokenizer

    def build(self, input_shape):
        self.embedding = self.add_weight(
            shape=(self.vocabulary, self.width),
            initializer=keras.initializers.RandomNormal(stddev=self.width**-0.5),
            name="embedding",
        )

    def call(self, inputs, reverse=False):
        matrix = ops.cast(self.embedding, self.compute_dtype)
        if reverse:
            return ops.matmul(inputs, ops.transpose(matrix))
        return ops.take(matrix, inputs, axis=0) * self.width**0.5

    def compute_output_spec(self, inputs, reverse=False):
        if reverse:
            shape = (*inputs.shape[:-1], self.vocabulary)
        else:
            shape = (*inputs.shape, self.width)
        return keras.KerasTensor(shape, dtype=self.compute_dtype)

    def get_config(self):
        config = dict(
            vocabulary=self.vocabulary, width=self.width, tokenizer=self.tokenizer
        )
        return {**super().get_config(), **config}


@keras.saving.register_keras_serializable(package="zoo")
class SinusoidalPositions(layers.Layer):
    """Adds sines and cosines of the position, counted from `start`. (b, n, c).

    Channels 2i and 2i + 1 of the paper are i and c / 2 + i here: a permutation, which
    the learned matrices around it absorb.
    """

    def call(self, x, start=0):
        length, width = ops.shape(x)[1], x.shape[-1]
        position = ops.cast(ops.arange(length) + start, "float32")[:, None]
        channel = ops.arange(0, width, 2, dtype="float32")
        angle = position * ops.exp(channel * (-ops.log(10_000.0) / width))
        waves = ops.concatenate([ops.sin(angle), ops.cos(angle)], axis=-1)
        return x + ops.cast(waves, x.dtype)

    def compute_output_spec(self, x, start=0):
        return keras.KerasTensor(x.shape, dtype=self.compute_dtype)


@keras.saving.register_keras_serializable(package="zoo")
class Visible(layers.Layer):
    """Which subwords are no padding: ids (b, n) -> bool (b, 1, n)."""

    def call(self, ids):
        return ops.not_equal(ids, PAD)[:, None, :]

    def compute_output_spec(self, ids):
        return keras.KerasTensor((ids.shape[0], 1, ids.shape[1]), dtype="bool")


# `base` is Vaswani et al., table 3; the others are for two CPU cores.
VARIANTS = {
    "tiny": dict(depth=2, width=128, heads=4),
    "small": dict(depth=3, width=256, heads=4),
    "base": dict(depth=6, width=512, heads=8),
}
