"""Workers on JAX."""

import contextlib

import keras
import numpy as np

from lng_keras._base.errors import UsageError
from zoo.devices.lookout import WorkerLost
from zoo.devices.workers.current import Worker


class JaxWorker(Worker):
    """A process of `jax.distributed`, with `keras.distribution.DataParallel`."""

    def __init__(self, distribution):
        import jax

        super().__init__(jax.device_count(), jax.process_index(), jax.process_count())
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


@contextlib.contextmanager
def join():
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
