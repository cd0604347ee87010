"""A model and an interrupted run, saved before the rooms were moved, still load.

Made at commit 08f7dc0: names in saved files, in flags and in checkpoints are promises.
"""

import json
import pathlib
import shutil

import keras
import numpy as np
import pytest

import lng_keras  # noqa: F401, registers the classes that the file names
from tests import command_line
from tests.lng_keras.small_models import Block  # registers what the model holds

FOLDER = pathlib.Path(__file__).parent / "saved_before"


def test_a_model_saved_before_gives_the_same_outputs():
    with np.load(FOLDER / "model_outputs.npz", allow_pickle=False) as stored:
        x, wanted = stored["x"], stored["y"]
    model = keras.models.load_model(FOLDER / "model.keras")
    kinds = [type(layer).__name__ for layer in model._flatten_layers()]
    assert kinds.count("GroupLayerNormalization") == 6
    assert kinds.count(Block.__name__) == 1
    outputs = model.predict(x, verbose=0)
    np.testing.assert_allclose(outputs, wanted, rtol=1e-4, atol=1e-5)


@pytest.mark.only("tensorflow", reason="the run was TensorFlow's")
def test_a_run_begun_before_goes_on_to_the_same_end(tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(FOLDER / "run", folder)
    assert command_line.call("--resume", f"--run_dir={folder}") == 0
    wanted = json.loads((FOLDER / "run_finished.json").read_text())
    result = json.loads((folder / "result.json").read_text())
    assert result["epochs"] == wanted["epochs"] == 2
    # Another processor may add in another order.
    assert result["test_loss"] == pytest.approx(wanted["test_loss"], rel=1e-3)
    rows = (folder / "metrics.jsonl").read_text().splitlines()
    assert rows[0] == (FOLDER / "run" / "metrics.jsonl").read_text().splitlines()[0]


@pytest.mark.only("jax", "torch", reason="the run was TensorFlow's")
def test_a_run_begun_before_on_another_backend_is_refused(tmp_path, capsys):
    folder = tmp_path / "run"
    shutil.copytree(FOLDER / "run", folder)
    assert command_line.call("--resume", f"--run_dir={folder}") == 2
    assert "the run's backend was tensorflow" in capsys.readouterr().err
