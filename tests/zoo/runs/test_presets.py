"""Presets: published from runs, loaded only as published, named when unknown."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

import zoo
from experiments import presets as publishing
from experiments.machinery import runs, training_table
from experiments.tables import resnet_na
from tests.command_line import call
from zoo import data
from zoo.runs import preset_store
from zoo.training import evaluation

# Keras' conversion to numpy under NumPy 2, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ impl:DeprecationWarning")
ROOT = preset_store.FOLDER.parents[1]
NAME = "resnet8_na_lng_position_cifar10"
SCHEDULE = resnet_na.TABLE.schedules["cpu"]
ROW = next(row for row in resnet_na.TABLE.rows if row.name == "lng_position_8")


def record(seed, accuracy):
    environment = {
        "backend": "tensorflow",
        "processor": "P",
        "cores": 2,
        "python": "3.11",
        "versions": {"keras": "3"},
        "data": {"name": "cifar10", "sha256": "d" * 64},
    }
    result = {"test_accuracy": accuracy, "train_accuracy": 0.7, "test_loss": 1.25}
    flags = training_table.flags_of(ROW, SCHEDULE, 0.1, seed)
    return {
        "flags": flags,
        "command": runs.command(flags),
        "result": {**result, "parameters": 123},
        "environment": environment,
    }


@pytest.fixture
def published(tmp_path, monkeypatch):
    """A preset made from the better of two runs; the folder and the run's model."""
    monkeypatch.setattr(runs, "WORK", tmp_path / "work")
    records = {0: record(0, 0.5), 1: record(1, 0.52)}
    models = {}
    for seed, of_seed in records.items():
        folder = runs.work_folder(of_seed["flags"])
        folder.mkdir(parents=True)
        keras.utils.set_random_seed(seed)
        models[seed] = zoo.build("ln_net", "ln", input_shape=(2, 2, 1), width=4)
        models[seed].save(folder / "model.keras")
    folder = tmp_path / "presets"
    publishing.publish(NAME, resnet_na.TABLE, ROW, records, SCHEDULE, folder)
    return folder, models, records


def test_preset_is_the_best_run_and_gives_its_outputs(published):
    folder, models, _ = published
    x = np.random.default_rng(0).normal(size=(3, 2, 2, 1)).astype("float32")
    loaded = preset_store.load(NAME, folder)
    ours = keras.ops.convert_to_numpy(loaded(x))
    np.testing.assert_array_equal(ours, keras.ops.convert_to_numpy(models[1](x)))


def test_an_unknown_preset_is_refused(tmp_path):
    with pytest.raises(ValueError, match="No preset 'resnet9'.*vit_ln_cifar10"):
        publishing.run("cpu", None, ["resnet9"], tmp_path)


def test_card_tells_numbers_data_command_limits_and_licence(published):
    folder, _, records = published
    card = preset_store.presets(folder)[NAME]
    assert card["test_accuracy"] == 0.52
    assert card["runs"] == 2
    assert card["sha256"] == preset_store.checksum(folder / f"{NAME}.keras")
    page = (folder / f"{NAME}.md").read_text()
    for part in (
        "52.00 % (seed 1)",
        "51.00 ± 1.41 % (n = 2)",
        records[1]["command"],
        card["sha256"],
        "**Limits.**",
        "**Licence.**",
        "d" * 64,
        SCHEDULE.text,
    ):
        assert part in page


def test_damaged_preset_is_refused(published):
    folder, _, _ = published
    path = folder / f"{NAME}.keras"
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    with pytest.raises(ValueError, match=f"'{NAME}' is damaged.*published was"):
        preset_store.load(NAME, folder)
    path.unlink()
    with pytest.raises(ValueError, match="no file"):
        preset_store.preset_path(NAME, folder)


def test_unknown_preset_lists_the_known(published):
    folder, _, _ = published
    with pytest.raises(ValueError, match=f"'resnet'. Known: {NAME}"):
        preset_store.load("resnet", folder)


def test_published_again_without_its_run_keeps_the_model(published):
    folder, _, records = published
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    for path in runs.WORK.glob("*/model.keras"):
        path.unlink()
    publishing.publish(NAME, resnet_na.TABLE, ROW, records, SCHEDULE, folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    more = {**records, 2: record(2, 0.48)}
    publishing.publish(NAME, resnet_na.TABLE, ROW, more, SCHEDULE, folder)
    assert preset_store.presets(folder)[NAME]["runs"] == 3
    assert "50.00 ± 2.00 % (n = 3)" in (folder / f"{NAME}.md").read_text()
    assert (folder / f"{NAME}.keras").read_bytes() == before[f"{NAME}.keras"]
    better = {**records, 2: record(2, 0.6)}
    with pytest.raises(runs.RunFailed, match="is gone"):
        publishing.publish(NAME, resnet_na.TABLE, ROW, better, SCHEDULE, folder)
    (folder / f"{NAME}.keras").write_bytes(b"spoiled")
    with pytest.raises(ValueError, match="is damaged"):
        publishing.publish(NAME, resnet_na.TABLE, ROW, more, SCHEDULE, folder)


@pytest.mark.parametrize("name", sorted(zoo.presets()))
def test_presets_of_the_repository_load_and_have_their_card(name):
    model = zoo.load(name)
    card = zoo.presets()[name]
    assert model.count_params() == card["parameters"]
    assert model.output_shape == (None, len(card["classes"]))
    page = preset_store.FOLDER / f"{name}.md"
    assert card["sha256"] in page.read_text()
    assert json.loads((preset_store.FOLDER / f"{name}.json").read_text()) == card


@pytest.fixture(scope="module")
def test_images():
    if "LNG_KERAS_DATA_DIR" not in os.environ:
        pytest.skip("needs CIFAR-10")
    return data.load("cifar10", os.environ["LNG_KERAS_DATA_DIR"]).test


@pytest.mark.only("tensorflow", reason="10,000 images; those of the sample elsewhere")
@pytest.mark.parametrize("name", sorted(zoo.presets()))
def test_presets_of_the_repository_are_as_accurate_as_published(name, test_images):
    accuracy = evaluation.evaluate(zoo.load(name), test_images)["accuracy"]
    # Another processor rounds otherwise, and a few images lie on the border.
    assert accuracy == pytest.approx(zoo.presets()[name]["test_accuracy"], abs=5e-4)


@pytest.mark.parametrize("name", sorted(zoo.presets()))
def test_presets_are_as_accurate_on_some_images_as_chance_lets_them_be(name):
    published = zoo.presets()[name]["test_accuracy"]
    images = data.load().test.take(np.arange(0, 1000, 5))
    accuracy = evaluation.evaluate(zoo.load(name), images)["accuracy"]
    # Three standard deviations of a mean of 200 of the 10,000 images.
    deviation = np.sqrt(published * (1 - published) / 200)
    assert accuracy == pytest.approx(published, abs=3 * deviation)


@pytest.mark.skipif("LNG_KERAS_DATA_DIR" not in os.environ, reason="needs CIFAR-10")
def test_train_py_evaluates_a_preset_on_the_data_of_its_card(capsys):
    name, card = next(iter(zoo.presets().items()))
    where = f"--data_dir={os.environ['LNG_KERAS_DATA_DIR']}"
    assert call(f"--evaluate={name}", where) == 0
    out = capsys.readouterr().out
    assert "on 10,000 images" in out
    assert f"Its card says {card['test_accuracy']:.4f}." in out


def test_a_preset_is_not_evaluated_on_other_data_in_silence(capsys, tmp_path):
    name = next(iter(zoo.presets()))
    assert call(f"--evaluate={name}", f"--data_dir={tmp_path}") == 2
    assert "cifar10" in capsys.readouterr().err
    assert call(f"--evaluate={name}", "--dataset=cifar10_sample") == 0
    assert "Its card" not in capsys.readouterr().out


def test_a_preset_starts_a_training(capsys, tmp_path):
    name, card = next(iter(zoo.presets().items()))
    architecture = ("--model", "--norm", "--group", "--activation", "--depth")
    architecture += ("--width", "--heads", "--patch_size", "--pool")
    same = [f for f in card["command"].split() if f.startswith(architecture)]
    few = ("--train_examples=32", "--batch_size=16", "--epochs=1")
    assert call(*same, *few, f"--init={name}", f"--run_dir={tmp_path / 'a'}") == 0
    out = capsys.readouterr().out
    assert f"weights from {preset_store.FOLDER / name}.keras, 0 at their" in out


@pytest.mark.once(reason="registers classes, which no backend sees")
def test_preset_with_layers_of_its_own_loads_in_a_program_that_built_no_model():
    code = "import zoo; print(zoo.load('vit_lng_cifar10').name)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
