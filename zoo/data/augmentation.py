"""RandAugment, MixUp and CutMix by keras-cv, which is an extra."""

import importlib.util

from lng_keras._base.errors import UsageError

NAMES = ("rand", "mixup", "cutmix")


def augmented(dataset, name, seed):
    """Augments the batches of an epoch in tf.data, on every backend.

    The layers' random numbers come from a generator that is seeded anew for each epoch
    and advances batch by batch, so the batches before `dataset.first_batch` are drawn
    again and dropped: an interrupted epoch continues as it would have gone on.

    Args:
        dataset: `zoo.data.batches.Batches`.
        name: "rand", "mixup" or "cutmix".
        seed: int.
    Returns:
        `tf.data.Dataset` of batches like those of `dataset`.
    Raises:
        UsageError: if keras-cv or TensorFlow is not installed.
    """
    check_installed(name)
    import tensorflow as tf

    from zoo.data import tensorflow_data

    first, dataset.first_batch = dataset.first_batch, 0
    shape = (dataset.batch_size, *dataset.images.shape[1:])
    signature = (
        tf.TensorSpec(shape, tf.float32),
        tf.TensorSpec((dataset.batch_size, dataset.classes), tf.float32),
    )
    layer = _layer(name, seed * 1_000_003 + dataset.epoch)

    def augment(images, labels):
        pixels = (images + 1) * 127.5  # the layers work on 0 to 255
        if name == "rand":
            pixels = layer(pixels, training=True)
        else:
            mixed = layer({"images": pixels, "labels": labels}, training=True)
            pixels, labels = mixed["images"], mixed["labels"]
        images = pixels / 127.5 - 1
        return tf.ensure_shape(images, shape), tf.ensure_shape(
            labels, signature[1].shape
        )

    def in_order():
        for i in range(len(dataset)):
            yield dataset[i]

    stream = tf.data.Dataset.from_generator(in_order, output_signature=signature)
    # One call at a time: a generator shared by several would give its numbers in the
    # order in which they happen to ask.
    stream = stream.map(augment, num_parallel_calls=1).skip(first).prefetch(2)
    return tensorflow_data.untuned(stream)


def check_installed(name):
    """Raises UsageError, naming the extra, if keras-cv cannot be imported."""
    missing = [
        package
        for package in ("keras_cv", "tensorflow")
        if importlib.util.find_spec(package) is None
    ]
    if missing:
        raise UsageError(
            f"--augment={name} needs {' and '.join(missing)}: "
            "pip install 'lng-keras[train,cv]', or use --augment=crop_flip"
        )


def _layer(name, seed):
    import keras_cv

    if name == "rand":
        return keras_cv.layers.RandAugment(
            value_range=(0, 255), augmentations_per_image=2, magnitude=0.3, seed=seed
        )
    return {"mixup": keras_cv.layers.MixUp, "cutmix": keras_cv.layers.CutMix}[name](
        seed=seed
    )
