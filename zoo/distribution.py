"""Data parallelism on the devices of one machine."""

import contextlib

import keras

from zoo.errors import InputError


@contextlib.contextmanager
def data_parallel(how, batch_size):
    """Builds and trains what is inside on all devices of this machine.

    Each device takes an equal part of every batch; weights are the same on all.

    Args:
        how: "none", or "data": `keras.distribution.DataParallel` on JAX (GPUs, TPU
            cores), `tf.distribute.MirroredStrategy` on TensorFlow (GPUs).
        batch_size: int, of all devices together.
    Yields:
        The number of devices.
    Raises:
        InputError: on torch, where Keras does not distribute, and for a batch that the
            devices cannot share equally.
    """
    if how == "none":
        yield 1
        return
    backend = keras.backend.backend()
    if backend == "torch":
        raise InputError(
            f"--distribute={how}: Keras does not distribute on torch; use "
            "KERAS_BACKEND=jax or tensorflow"
        )
    if backend == "jax":
        distribution = keras.distribution.DataParallel()
        devices = len(keras.distribution.list_devices())
        _check(batch_size, devices)
        before = keras.distribution.distribution()
        keras.distribution.set_distribution(distribution)
        try:
            yield devices
        finally:
            keras.distribution.set_distribution(before)
        return
    import tensorflow as tf

    strategy = tf.distribute.MirroredStrategy()
    _check(batch_size, strategy.num_replicas_in_sync)
    with strategy.scope():
        yield strategy.num_replicas_in_sync


def _check(batch_size, devices):
    if batch_size % devices:
        raise InputError(
            f"--batch_size={batch_size} must be a multiple of the {devices} devices "
            "that share it"
        )
