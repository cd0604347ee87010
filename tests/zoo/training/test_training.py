"""Training: what is decayed, averaged, resumed and refused."""

import dataclasses

import keras
import numpy as np
import pytest

import zoo
from lng_keras._base.errors import UsageError
from zoo import data
from zoo.data import batches
from zoo.errors import NonFiniteLoss
from zoo.runs import checkpoints, model_files
from zoo.training import completion, evaluation, loop, optimization
from zoo.training.loop.state import collect_state, restore_state
from zoo.training.settings import Settings

EPOCHS, BATCH = 2, 16


def small_data(validation=0):
    selected = data.select(data.load(), 36, validation)
    return dataclasses.replace(selected, test=selected.test.take(np.arange(0, 999, 99)))


def small_model(images, ema=0.0, dropout=True, **arguments):
    keras.utils.set_random_seed(1)
    model = zoo.build("ln_net", norm="lng", depth=1, width=8, group_size=4)
    # So that random seeds are part of the state. On torch they are not: see training.
    if dropout and keras.backend.backend() != "torch":
        outputs = keras.layers.Dropout(0.2)(model.output)
        model = keras.Model(model.input, outputs)
    arguments = (
        dict(
            optimizer="adamw",
            learning_rate=1e-2,
            total_steps=EPOCHS * (len(images.train) // BATCH),
            warmup_steps=1,
            weight_decay=0.05,
            label_smoothing=0.1,
            clip_norm=1.0,
            ema=ema,
            jit_compile=keras.backend.backend() == "jax",
        )
        | arguments
    )
    optimization.compile_model(model, **arguments)
    return model


def run(model, images, folder=None, stop_after=None, resume=None, **arguments):
    """Trains; with `stop_after` batches stops and returns None."""
    seen = []
    try:
        return loop.train(
            model,
            images,
            lambda epoch, first: batches.Batches(
                *(images.train.images, images.train.labels, 10, BATCH),
                *(7, epoch, first),
            ),
            epochs=EPOCHS,
            batch_size=BATCH,
            folder=folder,
            on_batch=lambda *position: seen.append(position),
            should_stop=lambda: stop_after is not None and len(seen) >= stop_after,
            resume_from=resume,
            **arguments,
        )
    except loop.Stopped:
        return None


def without_times(rows):
    times = ("seconds", "evaluation_seconds", "images_per_second", "finished_at")
    return [{k: v for k, v in row.items() if k not in times} for row in rows]


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_resumed_run_equals_uninterrupted_one_bit_for_bit(tmp_path, ema):
    images = small_data()
    whole = small_model(images, ema)
    expected = run(whole, images)
    # Stopped within the first epoch, at its end, and within the second.
    for _ in range(3):
        before = checkpoints.load_newest(tmp_path)
        assert run(small_model(images, ema), images, tmp_path, 1, before) is None
    model = small_model(images, ema)
    checkpoint = checkpoints.load_newest(tmp_path)
    assert checkpoint[1]["position"]["batch"] == checkpoint[1]["position"]["epoch"] == 1
    actual = run(model, images, tmp_path, resume=checkpoint)
    assert without_times(actual["rows"]) == without_times(expected["rows"])
    state = collect_state(model)
    for name, value in collect_state(whole).items():
        np.testing.assert_array_equal(state[name], value, err_msg=name)


def test_checkpoints_within_an_epoch_change_nothing(tmp_path):
    images = small_data()
    plain = run(small_model(images), images)
    often = run(small_model(images), images, tmp_path, checkpoint_minutes=0)
    assert without_times(plain["rows"]) == without_times(often["rows"])


def test_the_order_of_the_batches_is_ours():
    images = small_data()
    seen = []

    class Noted(batches.Batches):
        def make(self, i):
            seen.append(i)
            return super().make(i)

    model = small_model(images, dropout=False)
    loop.train(
        model,
        images,
        lambda e, f: Noted(images.train.images, images.train.labels, 10, 4, 0, e, f),
        epochs=1,
        batch_size=4,
    )
    # Made ahead by two threads and, on some backends, looked at before: but each batch
    # that trains is asked for in order. The same weights come from a plain loop.
    reference = small_model(images, dropout=False)
    ours = batches.Batches(images.train.images, images.train.labels, 10, 4, 0, 0)
    for i in range(len(ours)):
        reference.train_on_batch(*ours.make(i))
    assert set(seen) == set(range(9))
    for a, b in zip(model.weights, reference.weights, strict=True):
        np.testing.assert_allclose(np.array(a), np.array(b), atol=1e-5)


def test_best_epoch_is_chosen_by_validation_images():
    images = small_data(validation=20)
    model = small_model(images, learning_rate=0.5)
    outcome = run(model, images)
    accuracies = [row["validation_accuracy"] for row in outcome["rows"]]
    assert outcome["best_epoch"] == 1 + int(np.argmax(accuracies))
    assert not any("test" in key for row in outcome["rows"] for key in row)


def test_a_kill_between_checkpoint_and_best_is_made_good(tmp_path, monkeypatch):
    images = small_data(validation=20)

    def killed(folder):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints, "keep_as_best", killed)
    with pytest.raises(KeyboardInterrupt):
        run(small_model(images), images, tmp_path)
    monkeypatch.undo()
    stopped = checkpoints.load_newest(tmp_path)
    assert stopped[1]["best"]["epoch"] == 1
    outcome = run(small_model(images), images, tmp_path, resume=stopped)
    _, meta = checkpoints.load(tmp_path / checkpoints.BEST)
    assert meta["best"]["epoch"] == outcome["best_epoch"]


def test_last_epoch_counts_without_validation_images():
    images = small_data()
    assert run(small_model(images), images)["best_epoch"] == EPOCHS


def test_evaluation_equals_the_formula_and_fills_the_last_batch():
    images = small_data()
    model = small_model(images)
    logits = model(batches.normalize(images.test.images), training=False)
    logits = keras.ops.convert_to_numpy(logits).astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    labels = images.test.labels
    loss = -np.log(chances[np.arange(len(labels)), labels]).mean()
    accuracy = (chances.argmax(1) == labels).mean()
    for batch_size in (4, 11, 100):
        scores = evaluation.evaluate(model, images.test, batch_size)
        assert scores["loss"] == pytest.approx(loss, rel=1e-5)
        assert scores["accuracy"] == accuracy


def test_averaged_weights_are_put_in_and_taken_out():
    images = small_data()
    model = small_model(images, ema=0.5)
    run(model, images)
    raw = [np.array(w) for w in model.trainable_variables]
    with evaluation.averaged_weights(model):
        inside = [np.array(w) for w in model.trainable_variables]
        model.predict(batches.normalize(images.test.images), verbose=0)
    for weight, before in zip(model.trainable_variables, raw, strict=True):
        np.testing.assert_array_equal(np.array(weight), before)
    assert any(not np.array_equal(a, b) for a, b in zip(raw, inside, strict=True))


def test_weight_decay_leaves_all_but_kernels_alone():
    for name, kept in (("vit", {"embedding", "token", "bias", "gamma", "beta"}),):
        model = zoo.build(name, depth=1, width=16, heads=2, pool="token")
        decayed = {v.name for v in model.trainable_variables if optimization.decays(v)}
        assert decayed == {"kernel"}
        names = {v.name for v in model.trainable_variables}
        assert names == decayed | kept


def test_weight_decay_reaches_the_optimizer():
    images = small_data()
    model = small_model(images, weight_decay=0.5, optimizer="sgd", dropout=False)
    for variable in model.trainable_variables:
        variable.assign(np.ones(variable.shape))
    before = {v.path: np.array(v) for v in model.trainable_variables}
    gradients = [keras.ops.zeros(v.shape) for v in model.trainable_variables]
    for _ in range(2):  # at step 0 the warm-up's learning rate is 0
        model.optimizer.apply(gradients, model.trainable_variables)
    for variable in model.trainable_variables:
        shrunk = np.array(variable).sum() < before[variable.path].sum()
        assert shrunk == (variable.name == "kernel"), variable.path


def test_learning_rate_rises_and_falls_to_zero():
    images = small_data()
    model = small_model(images, learning_rate=0.3, total_steps=10, warmup_steps=4)
    rates = []
    for step in range(11):
        model.optimizer.iterations.assign(step)
        rates.append(optimization.learning_rate(model.optimizer))
    np.testing.assert_allclose(rates[:5], np.arange(5) * 0.3 / 4, rtol=1e-6)
    assert rates[4] == max(rates)
    assert rates[10] == pytest.approx(0, abs=1e-8)


@pytest.mark.only("jax", reason="Keras' learning rate compiles only there")
def test_reading_the_learning_rate_compiles_nothing():
    import jax

    model = small_model(small_data(), learning_rate=0.3, warmup_steps=4)
    optimization.learning_rate(model.optimizer)  # compiles comparisons, once
    compiled = []
    jax.monitoring.register_event_duration_secs_listener(
        lambda event, *_, **__: "compile" in event and compiled.append(event)
    )
    try:
        for step in range(1, 4):
            model.optimizer.iterations.assign(step)
            optimization.learning_rate(model.optimizer)
    finally:
        jax.monitoring.clear_event_listeners()
    assert not compiled


def test_non_finite_loss_stops_and_keeps_the_last_checkpoint(tmp_path):
    images = small_data()
    model = small_model(images)
    assert run(model, images, tmp_path, stop_after=1) is None
    good = checkpoints.load(tmp_path / checkpoints.LAST)

    class Poisoned(batches.Batches):
        def make(self, i):
            pixels, labels = super().make(i)
            return (pixels * np.nan if self.epoch == 1 else pixels), labels

    with pytest.raises(NonFiniteLoss, match="nan at step 3"):
        loop.train(
            model,
            images,
            lambda e, f: Poisoned(
                images.train.images, images.train.labels, 10, BATCH, 0, e, f
            ),
            epochs=EPOCHS,
            batch_size=BATCH,
            folder=tmp_path,
        )
    arrays, meta = checkpoints.load(tmp_path / checkpoints.LAST)
    assert all(np.isfinite(a).all() for a in arrays.values())
    assert meta["position"]["epoch"] == 1
    assert good[1]["position"]["batch"] == 1


def test_checkpoint_of_another_model_is_refused():
    images = small_data()
    state = collect_state(small_model(images))
    other = small_model(images, optimizer="sgd")
    with pytest.raises(ValueError, match="another model or optimizer"):
        restore_state(other, state)


def test_exported_model_predicts_the_same_and_loads_safely(tmp_path):
    images = small_data()
    model = small_model(images, dropout=False)
    model_files.save(model, tmp_path / "model.keras")
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]
    pixels = batches.normalize(images.test.images)
    np.testing.assert_allclose(
        model_files.load(tmp_path / "model.keras").predict(pixels, verbose=0),
        model.predict(pixels, verbose=0),
        atol=1e-6,
    )


def test_model_that_would_run_code_is_refused(tmp_path):
    inputs = keras.Input((4,))
    model = keras.Model(inputs, keras.layers.Lambda(lambda x: x + 1)(inputs))
    model.save(tmp_path / "lambda.keras")
    with pytest.raises(UsageError, match="cannot be loaded") as error:
        model_files.load(tmp_path / "lambda.keras")
    assert "\n" not in str(error.value)


def test_weights_are_copied_where_name_and_shape_agree():
    source = zoo.build("ln_net", norm="lng", width=8, depth=2, group_size=4)
    target = zoo.build("ln_net", width=8, depth=2, group_size=4, num_classes=3)
    taken, left = model_files.copy_weights(source, target)
    assert left == 2  # kernel and bias of the classifier
    assert taken == len(target.weights) - 2
    np.testing.assert_array_equal(
        np.array(target.get_layer("hidden1").kernel),
        np.array(source.get_layer("hidden1").kernel),
    )
    unlike = zoo.build("ln_net", width=4, depth=2, group_size=4, num_classes=3)
    with pytest.raises(UsageError, match="no weight of ln_net fits"):
        model_files.copy_weights(source, unlike)


@pytest.mark.parametrize("model", ["resnet_na", "vit", "ln_net"])
def test_xla_is_the_default_where_it_is_faster(model):
    settings = Settings(model=model, batch_size=8)
    compiled = completion.complete(settings, small_data()).jit_compile
    backend = keras.backend.backend()
    if backend == "tensorflow" and model == "resnet_na":
        devices = keras.distribution.list_devices()
        assert compiled == any("cpu" not in name for name in devices)
    else:
        assert compiled == (backend != "torch")


def test_every_model_has_a_recipe():
    for name in zoo.MODELS:
        assert zoo.MODELS[name].recipe["optimizer"] in optimization.OPTIMIZERS
