"""Data on the device: the same batches, runs that resume, what is refused."""

import dataclasses

import keras
import numpy as np
import pytest

import zoo
from lng_keras._base.errors import UsageError
from zoo import data
from zoo.data import batches
from zoo.devices import resident
from zoo.errors import NonFiniteLoss
from zoo.runs import checkpoints
from zoo.training import completion, loop, optimization
from zoo.training.loop.state import collect_state
from zoo.training.settings import Settings

BACKEND = keras.backend.backend()
EPOCHS, BATCH, STEPS = 2, 8, 5  # batches an epoch: with 2 a plan the last is not full
compiles = pytest.mark.only(
    "tensorflow", "jax", reason="Keras on torch keeps no data on the device"
)


def small_data():
    selected = data.select(data.load(), STEPS * BATCH, 0)
    return dataclasses.replace(selected, test=selected.test.take(np.arange(8)))


def host_batches(images, epoch=0, first=0, **arguments):
    return batches.Batches(
        *(images.train.images, images.train.labels, 10, BATCH, 7, epoch, first),
        **arguments,
    )


def compiled(function):
    if BACKEND == "jax":
        import jax

        return jax.jit(function)
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return tf.function(function, jit_compile=True)
    return function


@pytest.mark.parametrize(
    ("crop", "flip"), [(True, True), (True, False), (False, False)]
)
def test_batches_are_those_of_the_host_bit_for_bit(crop, flip):
    images = small_data()
    # Every value of a pixel, for each is scaled and rounded.
    images.train.images[0] = np.arange(32 * 32 * 3).reshape(32, 32, 3) % 256
    ours = host_batches(images, first=1, crop=crop, flip=flip)
    plans = resident.Plans(ours, steps=3)
    assert len(plans) == 2
    make = compiled(lambda *arguments: resident.batch(*arguments, 10))
    pixels = keras.ops.convert_to_tensor(images.train.images)
    labels = keras.ops.convert_to_tensor(images.train.labels.astype("int32"))
    for i in range(len(ours)):
        (plan,) = plans[i // 3]
        now = {k: keras.ops.convert_to_tensor(v[:, i % 3]) for k, v in plan.items()}
        for actual, expected in zip(make(pixels, labels, now), ours[i], strict=True):
            actual = keras.ops.convert_to_numpy(actual)
            assert actual.dtype == expected.dtype
            np.testing.assert_array_equal(actual, expected)
    assert (plans[1][0]["indices"][:, 1:] == -1).all()


def small_model(images, learning_rate=1e-2):
    keras.utils.set_random_seed(1)
    model = zoo.build("ln_net", norm="lng", depth=1, width=8, group_size=4)
    outputs = keras.layers.Dropout(0.2)(model.output)
    model = keras.Model(model.input, outputs)
    optimization.compile_model(
        *(model, "adamw", learning_rate, EPOCHS * STEPS),
        jit_compile=True,
    )
    return model


def run(model, images, steps, folder=None, stop_after=None, resume=None):
    """Trains with plans of `steps` batches, or from the host if that is 0."""
    if steps:
        resident.train_from(model, images.train, 10)
    seen = []

    def make_batches(epoch, first):
        ours = host_batches(images, epoch, first)
        return resident.Plans(ours, steps) if steps else ours

    try:
        return loop.train(
            *(model, images, make_batches),
            epochs=EPOCHS,
            batch_size=BATCH,
            folder=folder,
            on_batch=lambda epoch, done, loss: seen.append(done),
            should_stop=lambda: stop_after is not None and len(seen) >= stop_after,
            resume_from=resume,
        )
    except loop.Stopped:
        return seen


@compiles
def test_resumed_run_equals_uninterrupted_one_bit_for_bit(tmp_path):
    images = small_data()
    whole = small_model(images)
    expected = run(whole, images, 2)["rows"]
    for done in ([2], [4], [5, 2]):
        model, before = small_model(images), checkpoints.load_newest(tmp_path)
        assert run(model, images, 2, tmp_path, len(done), before) == done
    model = small_model(images)
    rows = run(model, images, 2, resume=checkpoints.load_newest(tmp_path))["rows"]
    assert [r["train_loss"] for r in rows] == [r["train_loss"] for r in expected]
    state = collect_state(model)
    for name, value in collect_state(whole).items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


@compiles
@pytest.mark.parametrize("steps", [1, 3])
def test_training_is_that_from_the_host(steps):
    images = small_data()
    host, device = small_model(images), small_model(images)
    ours, theirs = run(device, images, steps)["rows"], run(host, images, 0)["rows"]
    for a, b in zip(ours, theirs, strict=True):
        for name in ("step", "train_loss", "train_accuracy", "test_loss"):
            np.testing.assert_allclose(a[name], b[name], rtol=1e-5, err_msg=name)


@compiles
def test_step_of_a_loss_that_is_not_finite_is_named():
    images = small_data()
    with pytest.raises(NonFiniteLoss, match=r"loss is nan at step 2$"):
        run(small_model(images, learning_rate=float("nan")), images, 4)


ASKED = Settings(data_on_device="true", batch_size=BATCH)
AUTO = Settings(data_on_device="auto", batch_size=BATCH)
REFUSED = {
    "workers": ({"distribute": "multi_worker"}, "on the host"),
    "augmentation": ({"augment": "mixup"}, "--augment=mixup draws"),
    "search": ({"search_group_size": ("4",)}, "--search_group_size reads"),
    "size": ({}, "bytes, more than 100"),
}


@compiles
@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_on_the_device_is_refused_or_stays(case, monkeypatch):
    changes, message = REFUSED[case]
    if case == "size":
        monkeypatch.setattr(resident, "LARGEST", 100)
    with pytest.raises(UsageError, match=message):
        completion.complete(dataclasses.replace(ASKED, **changes), small_data())
    monkeypatch.setattr(resident, "accelerated", lambda: True)
    auto = dataclasses.replace(AUTO, **changes)
    assert completion.complete(auto, small_data()).data_on_device == "false"


@pytest.mark.parametrize("accelerated", [True, False])
def test_data_go_to_an_accelerator_by_themselves(monkeypatch, accelerated):
    monkeypatch.setattr(resident, "accelerated", lambda: accelerated)
    settings = completion.complete(AUTO, small_data())
    there = accelerated and BACKEND != "torch"
    assert settings.data_on_device == ("true" if there else "false")
    assert settings.steps_per_execution == (resident.STEPS if there else 1)
    if BACKEND == "torch":
        with pytest.raises(UsageError, match="torch compiles no loop"):
            completion.complete(ASKED, small_data())
