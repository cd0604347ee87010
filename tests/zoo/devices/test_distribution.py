"""Sharing batches between devices and processes; what is refused."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import zoo
from lng_keras._base.errors import UsageError
from zoo.data import batches
from zoo.devices import distribution, workers
from zoo.training import optimization

ROOT = pathlib.Path(__file__).resolve().parents[3]
TINY = (
    *("--model=vit", "--depth=1", "--width=8", "--heads=2", "--norm=lng"),
    *("--train_examples=64", "--batch_size=16", "--epochs=2", "--clip_norm=0.5"),
)
# Gives TensorFlow two CPU devices, which only code can, and runs train.py.
TWO_DEVICES = """
import sys, tensorflow as tf, train
cpu = tf.config.list_physical_devices("CPU")[0]
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
train.main(["train.py", *sys.argv[1:]])
"""


def enter(how, batch_size=16):
    with distribution.data_parallel(how, batch_size) as worker:
        return worker


@pytest.mark.only("torch", reason="the other engines distribute")
@pytest.mark.parametrize("how", ["data", "multi_worker", "tpu"])
def test_torch_says_that_keras_does_not_distribute(how):
    with pytest.raises(UsageError, match=f"--distribute={how}: Keras does not"):
        enter(how)


@pytest.mark.only("tensorflow", "jax", reason="Keras does not distribute on torch")
@pytest.mark.parametrize(
    ("how", "message"),
    [("tpu", "finds no TPU"), ("multi_worker", ": set (TF_|KERAS_)")],
)
def test_what_is_not_there_is_one_line(monkeypatch, how, message):
    for name in ("TF_CONFIG", "KERAS_DISTRIBUTION_JOB_ADDRESSES"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(UsageError, match=message) as error:
        enter(how)
    assert "\n" not in str(error.value)
    assert type(workers.current()) is workers.Alone
    assert workers.current().devices == 1


@pytest.mark.only("tensorflow", reason="TF_CONFIG is TensorFlow's")
def test_spoiled_cluster_is_one_line(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", "{cluster")
    with pytest.raises(UsageError, match="TF_CONFIG is no JSON object"):
        enter("multi_worker")


def test_each_example_is_seen_once_an_epoch_by_all_workers_together():
    images = np.arange(50, dtype=np.uint8)[:, None, None, None]
    whole = batches.Batches(images, np.arange(50), 50, 12, 3, 1, crop=False)
    seen = []
    for i in range(len(whole)):
        parts = [whole.part_of(worker, 4).make(i) for worker in range(4)]
        seen += [label for _, labels in parts for label in labels.argmax(1)]
        together = np.sort(np.concatenate([labels.argmax(1) for _, labels in parts]))
        np.testing.assert_array_equal(together, np.sort(whole.make(i)[1].argmax(1)))
    assert len(seen) == len(set(seen)) == 48  # the last 2 fill no batch


@pytest.mark.only("tensorflow", reason="a repair of Keras on TensorFlow")
def test_gradients_are_added_before_they_are_clipped():
    import tensorflow as tf

    strategy = tf.distribute.OneDeviceStrategy("/cpu:0")
    with strategy.scope():
        model = zoo.build("ln_net", depth=1, width=8, group_size=4)
        optimization.compile_model(model, "sgd", 1.0, 10, clip_norm=0.5)
        optimizer, pairs = model.optimizer, [(tf.constant([3.0, 4.0]), "w")]
        assert optimizer._clip_gradients([pairs[0][0]])[0] is pairs[0][0]
        [(clipped, name)] = optimizer._all_reduce_sum_gradients(pairs)
    np.testing.assert_allclose(clipped, [0.3, 0.4], rtol=1e-6)
    assert name == "w"


@pytest.mark.slow
@pytest.mark.only("tensorflow", reason="devices made by TensorFlow")
def test_two_mirrored_devices_give_the_loss_of_one(tmp_path):
    losses = {}
    for how in ("none", "data"):
        folder = tmp_path / how
        subprocess.run(
            [sys.executable, "-c", TWO_DEVICES, *TINY, f"--run_dir={folder}"]
            + [f"--distribute={how}"],
            cwd=ROOT,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            check=True,
        )
        rows = (folder / "metrics.jsonl").read_text().splitlines()
        losses[how] = [json.loads(row)["train_loss"] for row in rows]
    np.testing.assert_allclose(losses["none"], losses["data"], rtol=1e-5)


@pytest.mark.slow
@pytest.mark.only("tensorflow", "jax", reason="Keras does not distribute on torch")
def test_two_workers_train_as_one_and_survive_kills():
    subprocess.run(
        [sys.executable, "-m", "tests.stress", "distributed", "--times=2"],
        cwd=ROOT,
        check=True,
    )
