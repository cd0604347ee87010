"""Files that would run code, fill the memory or write elsewhere are not loaded."""

import io
import json
import re
import zipfile

import keras
import numpy as np
import pytest

import zoo
from lng_keras._base.errors import UsageError
from lng_keras.adopt.models import load_model
from tests.command_line import TINY, error_line
from tests.zoo.data import records
from zoo.runs import model_files


@keras.saving.register_keras_serializable(package="elsewhere")
class Unknown(keras.layers.Layer):
    """A class that the program which loads the file does not have."""

    def call(self, x):
        return x


def good(path):
    model_files.save(zoo.build("ln_net", depth=1, width=8, group_size=4), path)


def rewritten(path, change):
    """Writes the members of a good file as `change(archive, members)` does."""
    good(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        change(members)
        for name, content in members.items():
            archive.writestr(name, content)


def bomb(path):
    rewritten(path, lambda m: m.update({"model.weights.h5": bytes(200 << 20)}))


def traversal(path):
    rewritten(path, lambda m: m.update({"../outside.txt": b"gone"}))


def absolute(path):
    rewritten(path, lambda m: m.update({"/outside.txt": b"gone"}))


def runs_code(path):
    inputs = keras.Input((32, 32, 3))
    x = keras.layers.Lambda(lambda x: x[:, 0, 0])(inputs)
    keras.Model(inputs, x).save(path)


def unknown_class(path):
    inputs = keras.Input((32, 32, 3))
    keras.Model(inputs, Unknown()(inputs)).save(path)
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    config = members["config.json"].replace(b"Unknown", b"Unheard")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in (members | {"config.json": config}).items():
            archive.writestr(name, content)


def foreign_module(path):
    def change(members):
        config = json.loads(members["config.json"])
        config["config"]["layers"][1] |= {"module": "os", "class_name": "system"}
        members["config.json"] = json.dumps(config).encode()

    rewritten(path, change)


def pickled(path):
    content = io.BytesIO()
    np.save(content, np.array([print], dtype=object), allow_pickle=True)
    path.write_bytes(content.getvalue())


HOSTILE = {
    "zip bomb": (bomb, "a zip bomb"),
    "path traversal": (traversal, "out of its folder"),
    "absolute path": (absolute, "out of its folder"),
    "lambda": (runs_code, "lambda|Lambda"),
    "unknown class": (unknown_class, "Unheard"),
    "foreign module": (
        foreign_module,
        "Could not locate|cannot be loaded|custom class 'system'",
    ),
    "pickle": (pickled, "not a .keras file"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_models_are_refused_by_train_in_one_line(tmp_path, case):
    make, message = HOSTILE[case]
    path = tmp_path / "model.keras"
    make(path)
    for flag in ("--evaluate", "--init", "--teacher"):
        trains = (*TINY, f"--run_dir={tmp_path / 'run'}") * (flag != "--evaluate")
        line = error_line(*trains, f"{flag}={path}")
        assert re.search(message, line), line
    assert [p.name for p in tmp_path.iterdir()] == ["model.keras"]
    assert not (tmp_path.parent / "outside.txt").exists()


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_models_are_refused_by_the_report(tmp_path, case):
    make, message = HOSTILE[case]
    path = tmp_path / "model.keras"
    make(path)
    with pytest.raises(UsageError, match=message) as error:
        load_model(str(path))
    assert "\n" not in str(error.value)


def test_good_models_load(tmp_path):
    path = tmp_path / "model.keras"
    good(path)
    assert load_model(str(path)).count_params() == model_files.load(path).count_params()


@pytest.mark.filterwarnings("ignore")
def test_truncated_records_are_one_line(tmp_path):
    pytest.importorskip("tensorflow_datasets")
    pytest.importorskip("importlib_resources")
    image = np.random.default_rng(0).integers(256, size=(8, 8, 3), dtype=np.uint8)
    [record] = records.write_tfds(tmp_path, "truncated", (8, 8, 3), lambda i: image)
    flags = [*TINY, "--train_examples=0", "--batch_size=4"]
    flags += ["--dataset=truncated", f"--data_dir={tmp_path}"]
    whole = record.read_bytes()
    for length in (len(whole) - 5, len(whole) // 2, 0):
        record.write_bytes(whole[:length])
        line = error_line(*flags, f"--run_dir={tmp_path / 'run'}")
        assert "train split of truncated" in line
