"""Wrong input of `python -m lng_keras` is one line, before anything is written."""

import os
import re
import subprocess
import sys

import keras
import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from lng_keras.adopt import cli as command_line
from lng_keras.adopt import models
from tests.lng_keras.adopt.poc import arrays, classifier, prepare, run

layers = keras.layers
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")

WRONG = [
    (dict(model="none.keras"), "No such model file"),
    (dict(model="data.npz"), "cannot be loaded"),
    (dict(model="text.keras"), "is not a .keras file"),
    (dict(model="custom.keras"), "custom class 'Strange'.*--import=MODULE"),
    (dict(model="plain.keras"), "No normalization layer found"),
    (dict(model="os.path/x:join"), "Cannot import"),
    (dict(model="sizes.keras"), r"known input size.*\(None, None, 3\).*keras.Input"),
    (dict(model="two.keras"), "needs a classifier"),
    (dict(data="nothing/"), "No such data folder"),
    (dict(data="empty"), "has no folders"),
    (dict(data="split"), "val has classes that .*train has not: class2; add"),
    (dict(data="labels.npz"), "labels go from 0 to 7.*3 classes, 0 to 2"),
    (dict(data="shape.npz"), "inputs of shape .5, 4, 3. do not fit"),
    (dict(data="names.npz"), "must hold arrays `x` and `y`"),
    (dict(data="text.npz"), "Cannot read"),
    (dict(model="zoo:nothing"), "no function 'nothing'.*models are vit.*ln_net"),
    (dict(data="zoo:nothing"), "no function 'nothing'.*sets cifar10_sample, cifar10"),
    (dict(data="zoo:presets"), "must return four arrays"),
    (dict(model="zoo:MODELS"), "is no function but a dict"),
    (dict(model="lambda.keras"), "Lambda layer, which runs code.*module:function"),
    (dict(data="uneven.npz"), "20 x_val and 19 y_val"),
    (dict(output="text.keras"), "Cannot write to the output folder"),
]


@pytest.fixture(scope="module")
def wrong(tmp_path_factory):
    folder = tmp_path_factory.mktemp("wrong")
    prepare(folder)
    (folder / "text.keras").write_text("no model")
    (folder / "text.npz").write_text("no arrays")
    (folder / "empty").mkdir()
    x, y = arrays(20)
    np.savez(folder / "labels.npz", x=x, y=np.arange(20) % 8)
    np.savez(folder / "shape.npz", x=np.zeros((20, 5, 4, 3)), y=y)
    np.savez(folder / "names.npz", images=x)
    np.savez(folder / "uneven.npz", x=x, y=y, x_val=x, y_val=y[1:])
    for path in ("train/class0", "val/class0", "val/class2"):
        os.makedirs(folder / "split" / path)
    classifier(norm=None).save(folder / "plain.keras")
    i = keras.Input((4, 4, 3))
    j = layers.Lambda(lambda x: x[:, 0, 0])(i)
    keras.Model(i, j).save(folder / "lambda.keras")
    i = keras.Input((None, 3))
    j = layers.GlobalAveragePooling1D()(layers.LayerNormalization()(i))
    keras.Model(i, layers.Dense(3)(j)).save(folder / "sizes.keras")
    i = keras.Input((4, 4, 3))
    keras.Model(i, layers.LayerNormalization()(i)).save(folder / "two.keras")

    class Strange(layers.Layer):
        def call(self, x):
            return x

    y = layers.Dense(3)(layers.Flatten()(Strange()(i)))
    keras.Model(i, y).save(folder / "custom.keras")
    return folder


@pytest.mark.parametrize(("arguments", "message"), WRONG)
def test_wrong_input_is_one_line_and_status_2(wrong, arguments, message, capsys):
    before = sorted(os.listdir(wrong))
    assert run(wrong, **{"output": "never", **arguments}) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert said[-1].startswith("error: ")
    assert re.search(message, said[-1])
    assert sum(line.startswith("error") for line in said) == 1
    assert sorted(os.listdir(wrong)) == before


@pytest.mark.parametrize("name", ["./m.py:build", ".a:b", ":f"])
def test_a_file_or_nothing_in_place_of_a_module_is_refused(name):
    with pytest.raises(UsageError, match="Cannot import.*as in an import statement"):
        models.load_model(name)


def test_a_pattern_that_selects_nothing_is_refused(wrong, capsys):
    assert run(wrong, "--where=nothing", output="never") == 2
    assert "`where='nothing'` matches no normalization. There are: stage1_norm." in (
        capsys.readouterr().err
    )
    assert not (wrong / "never").exists()


def test_the_command_line_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "lng_keras", "cost", "none.keras"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1] == (
        "error: No such model file: none.keras"
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cost", "m.keras", "--group_size=a"], "is not a list of ints"),
        (["poc", "--model=m.keras"], "required: --data"),
        (["poc", "--model=m", "--data=d", "--epochs=0"], "is not an int >= 1"),
        (
            ["poc", "--model=m", "--data=d", "--learning_rate=nan"],
            "is not a number > 0",
        ),
        (["nothing"], "invalid choice"),
    ],
)
def test_wrong_arguments_are_one_line_and_status_2(arguments, message, capsys):
    with pytest.raises(SystemExit) as error:
        command_line.main(arguments)
    assert error.value.code == 2
    said = capsys.readouterr().err.strip()
    assert message in said
    assert "\n" not in said
