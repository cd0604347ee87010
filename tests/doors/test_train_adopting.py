"""train.py --export, --search_group_size and --teacher from the command line."""

import json

import keras
import pytest

from lng_keras._base.errors import UsageError
from lng_keras.adopt import export as export_module
from lng_keras.adopt.export.formats import PACKAGES
from tests.command_line import TINY, call

# Without a size where sizes are compared.
SMALL = [flag for flag in TINY if not flag.startswith("--group_size")]

pytestmark = pytest.mark.filterwarnings("ignore")  # of exporters and KerasTuner
# One format that each backend can write, and one that it cannot.
CAN = {"tensorflow": "litert", "jax": "saved_model", "torch": "onnx"}
CANNOT = {"tensorflow": "pickle", "jax": "onnx", "torch": "litert"}


def test_a_trained_model_is_exported_and_checked(tmp_path, capsys):
    kind = CAN[keras.config.backend()]
    for package in PACKAGES[kind].get(keras.config.backend(), ()):
        pytest.importorskip(package)
    assert call(*TINY, f"--run_dir={tmp_path / 'run'}", f"--export={kind}") == 0
    assert f"Exported {tmp_path / 'run' / 'model'}_{kind}" in capsys.readouterr().out
    assert list((tmp_path / "run").glob(f"model_{kind}*"))


def test_a_format_that_cannot_be_written_is_refused_before_training(tmp_path, capsys):
    kind = CANNOT[keras.config.backend()]
    assert call(*TINY, f"--run_dir={tmp_path / 'run'}", f"--export={kind}") == 2
    captured = capsys.readouterr()
    assert "KERAS_BACKEND=" in captured.err or "must be one of onnx" in captured.err
    assert "epoch" not in captured.out
    assert not (tmp_path / "run" / "model.keras").exists()


def test_an_export_that_fails_leaves_a_finished_run(tmp_path, capsys, monkeypatch):
    def fail(*arguments):
        raise UsageError("it differs")

    kind = CAN[keras.config.backend()]
    monkeypatch.setattr(export_module, "check", lambda format: None)
    monkeypatch.setattr(export_module, "export", fail)
    assert call(*TINY, f"--run_dir={tmp_path / 'run'}", f"--export={kind}") == 2
    assert "it differs" in capsys.readouterr().err
    assert (tmp_path / "run" / "model.keras").exists()
    assert "test_accuracy" in json.loads((tmp_path / "run" / "result.json").read_text())


@pytest.mark.slow
def test_group_sizes_are_compared_and_the_same_command_continues(tmp_path, capsys):
    pytest.importorskip("keras_tuner")
    command = (*SMALL, "--search_group_size=2,4", f"--run_dir={tmp_path / 'run'}")
    assert call(*command) == 0
    table = capsys.readouterr().out
    assert "as it is" in table
    assert "Pareto front" in table
    found = json.loads((tmp_path / "run" / "search" / "search.json").read_text())
    assert {row["name"] for row in found["rows"]} == {"as it is", "2", "4"}
    assert call(*command) == 0
    again = capsys.readouterr().out
    assert "hyperband:" not in again
    assert again.count("already done") == 2 * len(found["rows"])


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--search_group_size=4,x",), "must be whole numbers"),
        (("--search_group_size=0",), "must be whole numbers"),
        (("--search_group_size=4", "--norm=ln"), "has no groups"),
        (("--search_group_size=4", "--augment=mixup"), "--augment=mixup"),
        (
            ("--search_group_size=4", "--export=CAN"),
            "leave out --teacher and --export",
        ),
    ],
)
def test_what_does_not_go_with_a_search_is_refused(tmp_path, capsys, flags, message):
    pytest.importorskip("keras_cv", exc_type=ImportError)
    kind = CAN[keras.config.backend()]
    flags = [flag.replace("CAN", kind) for flag in flags]
    assert call(*SMALL, *flags, f"--run_dir={tmp_path / 'run'}") == 2
    assert message in capsys.readouterr().err


def test_a_student_learns_from_a_saved_teacher(tmp_path, capsys):
    assert call(*TINY, f"--run_dir={tmp_path / 'teacher'}") == 0
    teacher = tmp_path / "teacher" / "model.keras"
    student = tmp_path / "student"
    assert call(*TINY, f"--teacher={teacher}", f"--run_dir={student}") == 0
    assert f"--teacher={teacher}" in (student / "flags.txt").read_text()
    capsys.readouterr()
    assert call(f"--evaluate={student / 'model.keras'}") == 0
    assert "Test accuracy" in capsys.readouterr().out
    # The student alone is saved.
    sizes = [path.stat().st_size for path in (teacher, student / "model.keras")]
    assert abs(sizes[0] - sizes[1]) < 0.05 * sizes[0]
    nothing = tmp_path / "none.keras"
    assert call(*TINY, f"--teacher={nothing}", f"--run_dir={tmp_path / 'c'}") == 2
    assert "does not exist" in capsys.readouterr().err
