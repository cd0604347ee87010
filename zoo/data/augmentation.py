"""RandAugment, MixUp and CutMix in tf.data: Keras' own, or those of keras-cv."""

import functools
import importlib.util

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.extras import install
from lng_keras._base.private.layers import seed_state

_NEEDED = {
    **dict.fromkeys(("rand", "mixup", "cutmix"), ("tensorflow",)),
    **dict.fromkeys(("cv_rand", "cv_mixup", "cv_cutmix"), ("keras_cv", "tensorflow")),
}
NAMES = tuple(_NEEDED)
_STREAM = 2  # of random numbers; those of zoo/data/batches.py are 0 and 1


def augmented(dataset, name, seed):
    """Augments the batches of an epoch in tf.data, on every backend.

    A batch is a function of (seed, epoch, batch number), so an interrupted epoch
    continues as it would have gone on. Keras' RandAugment draws two operations a
    batch, that of keras-cv two an image.

    Args:
        dataset: `zoo.data.batches.Batches`.
        name: one of `NAMES`.
        seed: int.
    Returns:
        `tf.data.Dataset` of batches like those of `dataset`.
    Raises:
        UsageError: if keras-cv or TensorFlow is not installed.
    """
    check_installed(name)
    import tensorflow as tf

    from zoo.data import tensorflow_data

    shape = (dataset.batch_size, *dataset.images.shape[1:])
    signature = (
        tf.TensorSpec(shape, tf.float32),
        tf.TensorSpec((dataset.batch_size, dataset.classes), tf.float32),
        tf.TensorSpec((2,), tf.int64),
    )
    skipped = 0
    if name in ("rand", "mixup", "cutmix"):
        apply = _keras_layer(name, signature)
    else:
        # Its numbers go on from batch to batch: those before are drawn and dropped.
        skipped, dataset.first_batch = dataset.first_batch, 0
        apply = _keras_cv_layer(name, seed * 1_000_003 + dataset.epoch)

    def augment(images, labels, key):
        # The layers work on 0 to 255.
        images, labels = apply((images + 1) * 127.5, labels, key)
        return (
            tf.ensure_shape(images / 127.5 - 1, shape),
            tf.ensure_shape(labels, signature[1].shape),
        )

    def in_order():
        for i in range(len(dataset)):
            number = [seed, dataset.epoch, _STREAM, dataset.first_batch + i]
            key = np.random.default_rng(number).integers(1 << 31, size=2)
            yield *dataset[i], key

    stream = tf.data.Dataset.from_generator(in_order, output_signature=signature)
    # One call at a time: a generator shared by several would give its numbers in the
    # order in which they happen to ask.
    stream = stream.map(augment, num_parallel_calls=1).skip(skipped).prefetch(2)
    return tensorflow_data.untuned(stream)


def check_installed(name):
    """Raises UsageError, naming the extra, if a package cannot be imported."""
    missing = [p for p in _NEEDED[name] if importlib.util.find_spec(p) is None]
    if missing:
        extras = "train,cv" if "keras_cv" in _NEEDED[name] else "train"
        raise UsageError(
            f"--augment={name} needs {' and '.join(missing)}: "
            f"{install(extras)}, or use --augment=crop_flip"
        )


@functools.cache  # on JAX, RandAugment is traced for minutes: once, not each epoch
def _keras_layer(name, signature):
    """Returns a function (images, labels, key) -> images, labels, pure in all three."""
    import tensorflow as tf

    kinds = {
        "rand": keras.layers.RandAugment,
        "mixup": keras.layers.MixUp,
        "cutmix": keras.layers.CutMix,
    }
    with tf.init_scope():
        layer = kinds[name](seed=0, dtype="float32")
        # In tf.data each backend draws from TensorFlow's generator of the layer, which
        # has to exist before, and has no public name on JAX and torch.
        layer.backend.set_backend("tensorflow")
        state = seed_state(layer, "tensorflow")
        layer.backend.reset()

    @tf.function(input_signature=signature, autograph=False)
    def apply(images, labels, key):
        state.assign(tf.cast(key, state.dtype))
        mixed = layer({"images": images, "labels": labels}, training=True)
        return mixed["images"], mixed["labels"]

    return apply


def _keras_cv_layer(name, seed):
    """Returns a function (images, labels, key) -> images, labels; `key` is unused."""
    import keras_cv

    if name == "cv_rand":
        layer = keras_cv.layers.RandAugment(
            value_range=(0, 255), augmentations_per_image=2, magnitude=0.3, seed=seed
        )
        return lambda images, labels, _: (layer(images, training=True), labels)
    kinds = {"cv_mixup": keras_cv.layers.MixUp, "cv_cutmix": keras_cv.layers.CutMix}
    layer = kinds[name](seed=seed)

    def apply(images, labels, _):
        mixed = layer({"images": images, "labels": labels}, training=True)
        return mixed["images"], mixed["labels"]

    return apply
