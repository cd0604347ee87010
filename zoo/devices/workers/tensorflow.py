"""Workers on TensorFlow."""

import contextlib
import json
import os

import numpy as np

from lng_keras._base.errors import UsageError
from lng_keras._base.private.training import never_build_from_a_batch
from zoo import errors
from zoo.devices.lookout import WorkerLost
from zoo.devices.workers.current import Worker


class TensorFlowWorker(Worker):
    """A process of a `tf.distribute.MultiWorkerMirroredStrategy`."""

    def __init__(self, strategy):
        import tensorflow as tf

        super().__init__(
            strategy.num_replicas_in_sync,
            strategy.cluster_resolver.task_id,
            len(cluster()),
        )
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

        It takes the mean of each log over axis 0, which a number does not have.
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
        never_build_from_a_batch(model)

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


@contextlib.contextmanager
def join():
    import tensorflow as tf

    if len(cluster()) < 2:
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


def cluster():
    """The addresses in TF_CONFIG; none if it names none."""
    try:
        config = json.loads(os.environ.get("TF_CONFIG") or "{}")
        return config.get("cluster", {}).get("worker", [])
    except (ValueError, AttributeError) as error:
        raise UsageError(f"TF_CONFIG is no JSON object ({error})") from error
