"""Small models with normalizations in all places where models keep them."""

import keras
import numpy as np

from lng_keras.swap import find_normalizations

layers = keras.layers


def run(model, x):
    return keras.ops.convert_to_numpy(model(x))


def array(variable):
    return keras.ops.convert_to_numpy(variable.value)


def inputs(*shape):
    return np.random.default_rng(0).normal(size=shape).astype("float32")


def disturb(model):
    """Moves gamma, beta and the running statistics away from 1 and 0."""
    rng = np.random.default_rng(1)
    for w in model.weights:
        w.assign(array(w) + 0.1 * rng.uniform(size=w.shape).astype("float32"))
    return model


def other_weights(model):
    norms = {id(v) for _, n in find_normalizations(model) for v in n.layer.weights}
    return [w for w in model.weights if id(w) not in norms]


def classes(model):
    return [type(norm.layer) for _, norm in find_normalizations(model)]


def functional(norm, shape=(4, 4, 8), **arguments):
    x = keras.Input(shape)
    y = layers.Dense(8, name="first")(x)
    y = norm(name="norm", **arguments)(y)
    return disturb(keras.Model(x, layers.Dense(2, name="last")(y)))


@keras.saving.register_keras_serializable(package="small_models")
class Block(layers.Layer):
    """Holds norms as an attribute, in a list, in a dict, and made in `build`."""

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width
        self.norm = layers.LayerNormalization()
        self.mlp = [layers.LayerNormalization(), layers.Dense(width)]
        self.named = {"last": layers.LayerNormalization()}
        self.pair = (layers.LayerNormalization(),)

    def build(self, shape):
        # Named like what TensorFlow keeps for itself, as KerasHub names its norms.
        self._self_late_norm = layers.LayerNormalization()
        for layer in (self.norm, *self.mlp, self.named["last"], *self.pair):
            layer.build(shape)
        self._self_late_norm.build(shape)

    def call(self, x, training=None):
        y = self.norm(x, training=training)
        for layer in self.mlp:
            y = layer(y)
        return self.pair[0](self.named["last"](self._self_late_norm(x + y)))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(package="small_models")
class Transformer(keras.Model):
    """Subclassed; one norm has a second name; a functional model inside."""

    def __init__(self, width=8, **kwargs):
        super().__init__(**kwargs)
        self.embed = layers.Dense(width)
        self.attention = layers.MultiHeadAttention(2, width // 2)
        self.norm = layers.LayerNormalization()
        self.blocks = [Block(width), Block(width)]
        self.alias = self.blocks[0].norm
        x = keras.Input((None, width))
        y = layers.BatchNormalization()(x)
        self.tower = keras.Model(x, layers.Dropout(0.5)(layers.Dense(width)(y)))
        self.head = layers.Dense(3)

    def call(self, x, training=None):
        x = self.norm(self.embed(x))
        x = x + self.attention(x, x)
        for block in self.blocks:
            x = block(x, training=training)
        return self.head(keras.ops.mean(self.tower(x, training=training), axis=1))


def transformer():
    model = Transformer()
    model(inputs(2, 4, 8))
    return disturb(model)


def sequential():
    return disturb(
        keras.Sequential(
            [
                keras.Input((4, 4, 8)),
                layers.Conv2D(8, 3, padding="same"),
                layers.BatchNormalization(),
                layers.Activation("relu"),
                layers.GroupNormalization(2),
            ]
        )
    )


def nested_and_shared():
    again = layers.LayerNormalization(name="again")
    x = keras.Input((8,))
    y = layers.LayerNormalization()(layers.Dense(8)(x))
    inner = keras.Model(x, y, name="inner")
    tail = keras.Sequential([keras.Input((8,)), layers.RMSNormalization()], name="tail")
    y = keras.Input((8,))
    z = layers.Add()([inner(y), again(y), inner(again(-y))])
    return disturb(keras.Model(y, tail(Block(8, name="block")(z))))


MODELS = {
    "subclassed": (transformer, (2, 4, 8), 12),
    "sequential": (sequential, (2, 4, 4, 8), 2),
    "nested and shared": (nested_and_shared, (2, 8), 8),
    "functional": (lambda: functional(layers.LayerNormalization), (2, 4, 4, 8), 1),
}
