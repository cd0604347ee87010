"""Data parallelism: each device takes an equal part of every batch.

    --distribute=data           the devices of this machine
    --distribute=multi_worker   those of several processes, on one machine or many
    --distribute=tpu            the cores of a TPU; --tpu for short

The weights are the same on all devices, and so is the result, up to the order in which
floats are added. Two layers differ with the engine: on JAX, statistics of a batch
(BatchNormalization) are those of the whole batch, on TensorFlow of a device's part.
"""

import contextlib

import keras

from lng_keras._base.errors import UsageError
from zoo.devices import workers

_WITHOUT_TPU = (
    "--distribute=tpu: {engine} finds no TPU; on Colab choose Runtime > Change runtime "
    "type > TPU, elsewhere use --distribute=data or none"
)


@contextlib.contextmanager
def data_parallel(how, batch_size):
    """Builds and trains what is inside on many devices.

    Args:
        how: "none"; "data": `keras.distribution.DataParallel` on JAX,
            `tf.distribute.MirroredStrategy` on TensorFlow; "multi_worker": the same
            on JAX, `MultiWorkerMirroredStrategy` on TensorFlow, see workers
            for how a process learns of the others; "tpu": as "data" on JAX,
            `TPUStrategy` on TensorFlow.
        batch_size: int, of all devices together.
    Yields:
        The `zoo.devices.workers.current.Worker` that this process is.
    Raises:
        UsageError: on torch, where Keras does not distribute; for a batch that the
            devices cannot share equally; without a TPU or without the other workers.
    """
    if how == "none":
        yield workers.current()
        return
    engine = keras.backend.backend()
    if engine not in ("jax", "tensorflow"):
        raise UsageError(
            f"--distribute={how}: Keras does not distribute on {engine}; use "
            "KERAS_BACKEND=jax or tensorflow"
        )
    with contextlib.ExitStack() as stack:
        if how == "multi_worker":
            me = stack.enter_context(workers.join())
        else:
            me = workers.Alone(stack.enter_context(_SCOPES[engine](how)))
        if batch_size % me.devices:
            raise UsageError(
                f"--batch_size={batch_size} must be a multiple of the {me.devices} "
                "devices that share it"
            )
        stack.enter_context(workers.acting_as(me))
        yield me


@contextlib.contextmanager
def _jax(how):
    import jax

    if how == "tpu" and jax.default_backend() != "tpu":
        raise UsageError(_WITHOUT_TPU.format(engine="JAX"))
    with keras.distribution.DataParallel().scope():
        yield jax.device_count()


@contextlib.contextmanager
def _tensorflow(how):
    import tensorflow as tf

    if how == "tpu":
        try:
            resolver = tf.distribute.cluster_resolver.TPUClusterResolver("local")
            tf.tpu.experimental.initialize_tpu_system(resolver)
            strategy = tf.distribute.TPUStrategy(resolver)
        except Exception as error:  # many kinds, by what is not there
            message = _WITHOUT_TPU.format(engine="TensorFlow")
            raise UsageError(f"{message}; JAX is the surer way") from error
    else:
        devices = [d.name for t in ("GPU", "CPU") for d in _logical(tf, t)]
        strategy = tf.distribute.MirroredStrategy(devices)
    with strategy.scope():
        yield strategy.num_replicas_in_sync


_SCOPES = {"jax": _jax, "tensorflow": _tensorflow}


def _logical(tf, kind):
    """GPUs; CPUs only where there is no GPU (more than one is a test's doing)."""
    if kind == "CPU" and tf.config.list_logical_devices("GPU"):
        return []
    return tf.config.list_logical_devices(kind)
