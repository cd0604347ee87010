"""Workers: processes, on one machine or many, that train one model together.

Each runs the same command with --distribute=multi_worker and learns of the others from
its environment:

    TensorFlow   TF_CONFIG={"cluster": {"worker": ["host0:port", "host1:port"]},
                            "task": {"type": "worker", "index": 0}}
    JAX          KERAS_DISTRIBUTION_JOB_ADDRESSES=host0:port,host1:port
                 KERAS_DISTRIBUTION_NUM_PROCESSES=2 KERAS_DISTRIBUTION_PROCESS_ID=0
                 or nothing where JAX finds out by itself: Slurm, TPU pods

The run's folder lies on a disk that all of them see. Worker 0, the chief, writes it.
"""

import contextlib
import json
import os

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from zoo import errors
from zoo.devices.lookout import Lookout, WorkerLost


class Alone:
    """The only process of a run. `JaxWorker`, `TensorFlowWorker` are one of several.

    Args:
        devices: int, what shares a batch.
    """

    index, count, chief = 0, 1, True

    def __init__(self, devices=1):
        self.devices = devices

    def batches(self, batches):
        """Returns what `fit` takes: `zoo.batches.Batches` of this worker's part."""
        return batches

    def before_fit(self, model):
        """Fits a compiled model to what `fit` does on this engine."""

    def predict(self, model, dataset):
        """Returns the outputs for a data set of whole batches, on every worker."""
        return model.predict(dataset.for_keras(), verbose=0)

    def gather(self, number):
        """Returns the number that each worker gives, by index: a list of ints."""
        return [number]


class JaxWorker(Alone):
    """A process of `jax.distributed`, with `keras.distribution.DataParallel`."""

    def __init__(self, distribution):
        import jax

        super().__init__(jax.device_count())
        self.index, self.count = jax.process_index(), jax.process_count()
        self.chief = self.index == 0
        self._distribution, self._calls = distribution, {}

    def predict(self, model, dataset):
        import jax

        if model not in self._calls:
            mesh = self._distribution.device_mesh.backend_mesh
            everywhere = jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec())
            self._calls[model] = jax.jit(
                lambda weights, state, x: model.stateless_call(
                    weights, state, x, training=False
                )[0],
                out_shardings=everywhere,
            )
        weights = [v.value for v in model.trainable_variables]
        state = [v.value for v in model.non_trainable_variables]
        outputs = []
        for i in range(len(dataset)):
            part = np.array_split(dataset[i][0], self.count)[self.index]
            layout = self._distribution.get_data_layout(part.shape).backend_layout
            x = jax.make_array_from_process_local_data(layout, part)
            outputs.append(np.asarray(self._calls[model](weights, state, x)))
        return np.concatenate(outputs)

    def gather(self, number):
        from jax.experimental import multihost_utils

        numbers = multihost_utils.process_allgather(np.array([number], np.int32))
        return np.asarray(numbers).reshape(-1).tolist()


class TensorFlowWorker(Alone):
    """A process of a `tf.distribute.MultiWorkerMirroredStrategy`."""

    def __init__(self, strategy):
        import tensorflow as tf

        super().__init__(strategy.num_replicas_in_sync)
        resolver = strategy.cluster_resolver
        self.index, self.count = resolver.task_id, len(_cluster())
        self.chief = self.index == 0
        self._strategy, self._calls = strategy, {}
        self._gather = tf.function(lambda numbers: strategy.gather(numbers, axis=0))

    def batches(self, batches):
        import tensorflow as tf

        from zoo.data import tensorflow_data

        local = self.devices // self.count  # devices of this worker
        parts = [
            batches.part_of(self.index * local + i, self.devices) for i in range(local)
        ]
        signature = tf.nest.map_structure(
            lambda a: tf.TensorSpec(a.shape, a.dtype), parts[0].make(0)
        )

        def in_order():
            for i in range(len(batches)):
                for part in parts:
                    yield part[i]

        return self._strategy.distribute_datasets_from_function(
            lambda context: tensorflow_data.untuned(
                tf.data.Dataset.from_generator(
                    in_order, output_signature=signature
                ).prefetch(1)
            )
        )

    def before_fit(self, model):
        """Gives `fit` a step of ours; Keras 3.15's own fails with several workers.

        It takes the mean of each log over axis 0, which a number does not have, and
        before the first step the mean of a batch, which is a tuple.
        """
        import tensorflow as tf

        @tf.function
        def step(iterator):
            logs = self._strategy.run(model.train_step, args=(next(iterator),))
            return {
                name: self._strategy.reduce("MEAN", value, axis=None)
                for name, value in logs.items()
            }

        model.train_function = step
        model._maybe_symbolic_build = lambda **_: None  # it is built

    def predict(self, model, dataset):
        import tensorflow as tf

        if model not in self._calls:

            def call(x):
                outputs = self._strategy.run(
                    lambda x: model(x, training=False), args=(x,)
                )
                return self._strategy.gather(outputs, axis=0)

            self._calls[model] = tf.function(call)
        outputs = []
        for i in range(len(dataset)):
            parts = np.array_split(dataset[i][0], self.devices)
            x = self._each(lambda replica, parts=parts: parts[replica])
            outputs.append(self._calls[model](x).numpy())
        return np.concatenate(outputs)

    def gather(self, number):
        numbers = self._each(lambda replica: np.array([number], np.int64))
        numbers = self._gather(numbers).numpy()
        return numbers[:: self.devices // self.count].tolist()

    def _each(self, value):
        """Makes a value for each device of this worker from its number in all."""
        import tensorflow as tf

        return self._strategy.experimental_distribute_values_from_function(
            lambda context: tf.constant(value(context.replica_id_in_sync_group))
        )


_current = [Alone()]


def current():
    """Returns the worker that this process is: `Alone`, or one of several."""
    return _current[-1]


@contextlib.contextmanager
def acting_as(worker):
    _current.append(worker)
    try:
        yield
    finally:
        _current.pop()


@contextlib.contextmanager
def join():
    """Meets the other workers; yields this one. Waits for all to start.

    Raises:
        UsageError: if the environment names no workers, or not all of them came.
        WorkerLost: if one of them ended before the others.
    """
    backend = keras.backend.backend()
    with _JOIN[backend]() as worker, Lookout(worker, _chief_host()):
        if not worker.chief:  # one console is enough
            silence = open(os.devnull, "w")  # noqa: SIM115, as long as the run
            with silence, contextlib.redirect_stdout(silence):
                yield worker
        else:
            yield worker


@contextlib.contextmanager
def _join_jax():
    import jax

    try:
        keras.distribution.initialize()
    except (RuntimeError, ValueError) as error:
        raise UsageError(
            "--distribute=multi_worker on JAX: set KERAS_DISTRIBUTION_JOB_ADDRESSES="
            "host0:port,host1:port, KERAS_DISTRIBUTION_NUM_PROCESSES and "
            f"KERAS_DISTRIBUTION_PROCESS_ID ({str(error).splitlines()[0][:200]})"
        ) from error
    distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
    try:
        with distribution.scope():
            yield JaxWorker(distribution)
    except jax.errors.JaxRuntimeError as error:
        raise WorkerLost(str(error)) from error


@contextlib.contextmanager
def _join_tensorflow():
    import tensorflow as tf

    if len(_cluster()) < 2:
        raise UsageError(
            "--distribute=multi_worker on TensorFlow: set TF_CONFIG="
            '{"cluster": {"worker": ["host0:port", "host1:port"]}, '
            '"task": {"type": "worker", "index": 0}}, index by worker'
        )
    try:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        with strategy.scope():
            yield TensorFlowWorker(strategy)
    except tf.errors.OpError as error:
        raise errors.within(error) or WorkerLost(error.message) from error


_JOIN = {"jax": _join_jax, "tensorflow": _join_tensorflow}


def _cluster():
    """The addresses in TF_CONFIG; none if it names none."""
    try:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        return config.get("cluster", {}).get("worker", [])
    except (ValueError, AttributeError) as error:
        raise UsageError(f"TF_CONFIG is no JSON object ({error})") from error


def _chief_host():
    """The chief's host name, or None where the engine found it by itself."""
    if keras.backend.backend() == "tensorflow":
        first = _cluster()[0]
    else:
        variables = ("KERAS_DISTRIBUTION_JOB_ADDRESSES", "JAX_COORDINATOR_ADDRESS")
        first = next(filter(None, map(os.environ.get, variables)), "")
    return first.split(",")[0].rpartition(":")[0] or None
