"""What people met when they tried `lng-keras`: each stood in the table of faults.

Those of train.py are in tests/doors/test_faults_of_training.py, those of exports in
test_faults_of_exports.py.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from lng_keras import __main__ as command
from lng_keras import __version__
from lng_keras._base import extras
from lng_keras._base.errors import UsageError
from lng_keras.adopt import cli, early, inputs
from lng_keras.adopt.arguments import parser
from tests.lng_keras.adopt.poc import classifier

ROOT = pathlib.Path(__file__).resolve().parents[3]
once = pytest.mark.once(reason="touches no backend")


def run(code, **environment):
    """Runs Python code in another process, from the root of the repository."""
    return subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )


# ---- the command: its name, version, completion, and mistakes at once ----


@once
def test_there_is_a_command_and_it_tells_its_version(capsys):
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    assert scripts == {"lng-keras": "lng_keras.__main__:main"}
    with pytest.raises(SystemExit) as end:
        command.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"lng-keras {__version__}\n"


@once
def test_the_command_imports_keras_only_where_there_is_something_to_do():
    code = "import sys; sys.argv[0] = '/usr/bin/lng-keras'\n"
    code += "from lng_keras.__main__ import main\n"
    for wrong in (
        ["cost", "none.keras"],
        ["cost", "nothing"],
        ["cost", "zoo:vit", "--pixels=0..1"],
        ["poc", "--model=zoo:vit", "--data=none/"],
        ["poc", "--model=zoo:vit", "--data=docs", "--data_dir=docs"],
        ["export", "zoo:vit", "--format=onnx", "--output=/nowhere/x"],
    ):
        code += f"assert main({wrong}) == 2\n"
    code += "assert main(['completion', 'fish']) == 0\n"
    code += "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)\n"
    code += "import lng_keras; assert lng_keras.GroupLayerNormalization(4)"
    lines = run(code).stderr.splitlines()
    assert [line for line in lines if line.startswith("error: ")][:6] == lines[:6]


@once
def test_a_package_that_is_imported_has_its_layers_registered():
    code = "import lng_keras, keras\n"
    code += "names = keras.saving.get_custom_objects()\n"
    code += (
        "assert {'lng_keras>GroupLayerNormalization', 'lng_keras>Swapped'} <= {*names}"
    )
    run(code)


@once
def test_bash_completes_verbs_flags_choices_and_files(tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("needs bash")
    (tmp_path / "model.keras").touch()
    lines = [
        "try() { COMP_LINE=$1; COMP_POINT=${#1}; COMP_CWORD=$2; shift 2",
        'COMP_WORDS=("$@"); COMPREPLY=(); _lng_keras; echo "${COMPREPLY[*]}"; }',
        "try 'lng-keras com' 1 lng-keras com",
        "try 'lng-keras poc --ep' 2 lng-keras poc --ep",
        "try 'lng-keras export --format=on' 4 lng-keras export --format = on",
        "try 'lng-keras cost mod' 2 lng-keras cost mod",
        "try 'lng-keras poc --model=mod' 4 lng-keras poc --model = mod",
    ]
    text = command.completion.script(parser(), "bash")
    done = subprocess.run(
        ["bash", "-c", "\n".join([text, *lines])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        *("completion", "--epochs=", "onnx", "model.keras", "model.keras"),
    ]


@once
def test_zsh_and_fish_are_given_every_verb_and_flag():
    for shell in ("zsh", "fish"):
        text = command.completion.script(parser(), shell)
        for word in ("cost", "poc", "export", "group_size", "0..255", "saved_model"):
            assert word in text
    if shutil.which("fish"):
        subprocess.run(["fish", "-c", text], check=True)


USELESS = {
    "a folder without data": ["cost", "zoo:vit", "--data_dir=a"],
    "examples without data": ["cost", "zoo:vit", "--examples=10"],
    "pixels without data": ["cost", "zoo:vit", "--pixels=auto"],
    "a folder of a folder": ["poc", "--model=a:b", "--data=.", "--data_dir=a"],
    "a folder of a file": ["poc", "--model=a:b", "--data=a.npz", "--data_dir=a"],
}


@once
@pytest.mark.parametrize("case", USELESS)
def test_an_argument_without_effect_is_refused(case, capsys):
    assert cli.main(USELESS[case]) == 2
    assert "has no effect" in capsys.readouterr().err


@once
def test_data_without_those_arguments_have_their_defaults():
    arguments = parser().parse_args(["cost", "zoo:vit", "--data=."])
    early.check(arguments)
    cli._fill_in(arguments)
    assert (arguments.examples, arguments.pixels) == (5000, "auto")


# ---- what TensorFlow says ----


@once
def test_harmless_notes_are_dropped_and_others_are_not():
    code = (
        "import os; from lng_keras._base.quiet import _filtered_stderr\n"
        "with _filtered_stderr():\n"
        "    os.write(2, b'I0000 oneDNN custom operations are on. You may\\n')\n"
        "    os.write(2, b'E0000 something else\\n')\n"
    )
    assert run(code, KERAS_BACKEND="jax").stderr == "E0000 something else\n"


@pytest.mark.only("tensorflow", reason="TensorFlow's notes")
def test_tensorflow_is_silent_unless_its_variable_is_set():
    code = "import lng_keras, keras; keras.ops.ones(2) + 1"
    unset = {"TF_CPP_MIN_LOG_LEVEL": ""}
    environment = {k: v for k, v in os.environ.items() if k not in unset}
    for more, silent in (({}, True), ({"TF_CPP_MIN_LOG_LEVEL": "0"}, False)):
        done = subprocess.run(
            [sys.executable, "-c", code],
            cwd=ROOT,
            env={**environment, **more},
            capture_output=True,
            text=True,
            check=True,
        )
        assert (done.stderr == "") == silent, done.stderr


# ---- advice that works ----


@once
def test_the_advice_to_install_names_a_clone(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert extras.install("cv") == "pip install '.[cv]'"
    monkeypatch.chdir(tmp_path)
    assert extras.install("train,cv") == f"pip install '{ROOT}[train,cv]'"
    monkeypatch.setattr(extras, "_ROOT", tmp_path)
    assert extras.install("cv") == "pip install '.[cv]' in a clone of its repository"


@once
def test_nothing_advises_an_index_that_has_no_such_package():
    listed = subprocess.run(
        ["git", "grep", "-l", "pip install .*lng-keras[[]", ":!tests", ":!results"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert listed.stdout.split() == []


# ---- folders of images ----


def test_poc_skips_what_no_person_made_and_says_what_it_skipped(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        for i in range(5):
            Image.fromarray(np.full((4, 4, 3), i, "u1")).save(
                tmp_path / name / f"{i}.png"
            )
        (tmp_path / name / f"._{name}.png").write_bytes(b"of macOS")
    (tmp_path / "__MACOSX" / "a").mkdir(parents=True)
    (tmp_path / "__MACOSX" / "a" / "._0.png").write_bytes(b"of macOS")
    (tmp_path / "a" / "scan.tiff").touch()
    loaded = inputs.load_data(str(tmp_path), classifier())
    assert len(loaded.y) + len(loaded.y_val) == 15
    assert loaded.description == (
        f"folder {tmp_path.name}, 3 classes (a, b, c); skipped 4 with names that "
        "systems give (__MACOSX, ._*, .DS_Store), 1 ending in .tiff; read are .png, "
        ".jpg, .jpeg, .webp, .bmp, .ppm, .gif"
    )


def test_a_photograph_is_turned_upright_for_poc(tmp_path):
    Image = pytest.importorskip("PIL.Image")
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[0] = 200  # the first row is the right column once turned
    exif = Image.Exif()
    exif[0x0112] = 6
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for i in range(3):
            Image.fromarray(pixels).save(tmp_path / name / f"{i}.png", exif=exif)
    loaded = inputs.load_data(str(tmp_path), classifier(classes=2))
    assert (loaded.x[:, :, 3] == 200).all()
    assert (loaded.x[:, :, :3] == 0).all()


@once
def test_a_class_that_is_not_there_is_refused_before_keras_is_asked():
    with pytest.raises(UsageError, match="No such data folder"):
        early.check_data("none.npz")
