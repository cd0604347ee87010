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

from zoo.devices.workers.current import Alone as Alone
from zoo.devices.workers.current import acting_as as acting_as
from zoo.devices.workers.current import current as current
from zoo.devices.workers.joining import join as join
