"""What people met when they tried train.py: each stood in the table of faults.

Those of `lng-keras` are in tests/lng_keras/adopt/test_faults_of_adopting.py, those of
the swap in tests/lng_keras/swap/test_swap_unconfigured.py, and hostile images, whoever
reads them, in test_bad_input.py.
"""

import json
import pathlib
import subprocess
import sys

import numpy as np
import pytest

import zoo
from tests.command_line import TINY, call, error_line
from tests.zoo.data import records as data_records
from zoo import data
from zoo.runs import metrics, records
from zoo.training import early, flags
from zoo.training.settings import Settings

ROOT = pathlib.Path(__file__).resolve().parents[2]
once = pytest.mark.once(reason="touches no backend")


# ---- flags that would have no effect ----

USELESS = {
    "a folder for the sample": (["--data_dir=."], "give.*--dataset=folder|--dataset="),
    "a weight of no teacher": (["--teacher_weight=0.3"], "without --teacher"),
    "a temperature of no teacher": (["--temperature=2"], "without --teacher"),
    "changes of no run": (["--allow_changes"], "without --resume"),
    "training while evaluating": (
        ["--evaluate=vit_ln_cifar10", "--epochs=3"],
        "--epochs has no effect on --evaluate",
    ),
    "a folder of a run while evaluating": (
        ["--evaluate=vit_ln_cifar10", "--run_dir=a"],
        "--run_dir has no effect on --evaluate",
    ),
    "a size where sizes are compared": (
        ["--search_group_size=4,8", "--group_size=4"],
        "--group_size=4 has no effect on --search_group_size",
    ),
    "resuming twice": (["--resume", "--resume_or_start"], "give one of them"),
}


@once
@pytest.mark.parametrize("case", USELESS)
def test_a_flag_without_effect_is_refused(case, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line, message = USELESS[case]
    argv = ["train.py", *line]
    with pytest.raises(ValueError, match=message) as error:
        early.check(*flags.parse(argv), argv)
    assert "\n" not in str(error.value)


@once
def test_what_a_flagfile_holds_may_be_without_effect(tmp_path):
    (tmp_path / "flags.txt").write_text(flags.write(Settings(dropout=0.1)))
    assert "--temperature" in (tmp_path / "flags.txt").read_text()
    argv = ["train.py", f"--flagfile={tmp_path / 'flags.txt'}"]
    early.check(*flags.parse(argv), argv)


def test_a_folder_for_the_sample_is_refused_where_a_run_names_it(tmp_path):
    run = f"--run_dir={tmp_path / 'run'}"
    assert "no effect on --dataset=cifar10_sample" in error_line(
        *TINY, run, f"--data_dir={tmp_path}"
    )
    assert not (tmp_path / "run").exists()
    assert call(*TINY, run) == 0
    assert "no effect" in error_line("--resume", run, f"--data_dir={tmp_path}")
    model = f"--evaluate={tmp_path / 'run' / 'model.keras'}"
    assert "no effect" in error_line(model, f"--data_dir={tmp_path}")


# ---- a misspelt folder to resume ----


@once
def test_resuming_where_no_run_is_names_the_one_that_was_meant(tmp_path):
    (tmp_path / "my_run").mkdir()
    (tmp_path / "my_run" / "flags.txt").touch()
    line = error_line("--resume", f"--run_dir={tmp_path / 'my_rnu'}")
    assert "my_rnu holds no run to continue; did you mean" in line
    assert f"--run_dir={tmp_path / 'my_run'}?; --resume_or_start begins one" in line
    assert [path.name for path in tmp_path.iterdir()] == ["my_run"]


def test_resume_or_start_starts_and_then_resumes(tmp_path, capsys):
    line = (*TINY, "--resume_or_start", f"--run_dir={tmp_path / 'run'}")
    assert call(*line) == 0
    assert "1 epochs of 2 steps" in capsys.readouterr().out
    assert call(*line) == 0
    assert "Finished before." in capsys.readouterr().out


# ---- mistakes are told within a second ----

EARLY = [
    ["--model=vgg"],
    ["--norm=lgn"],
    ["--export=onnx,zip"],
    ["--init=/nowhere/model.keras"],
    ["--evaluate=no_preset"],
    ["--dataset=folder"],
    ["--dataset=folder", "--data_dir=/nowhere"],
    ["--resume"],
    ["--resume", "--run_dir=/nowhere"],
    ["--data_dir=."],
]


@once
def test_mistakes_are_found_before_any_backend_is_imported():
    code = "import sys, train\n"
    for wrong in EARLY:
        code += f"try: train.main(['train.py', *{wrong}]); sys.exit(9)\n"
        code += "except SystemExit as end: assert end.code == 2, end.code\n"
    code += "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == len(EARLY)
    assert all(line.startswith("error: ") for line in lines)


@once
def test_the_flags_know_all_models_norms_and_formats():
    from lng_keras.adopt.export import FORMATS
    from zoo.models import norms

    choices = {
        name: flags._FIELDS[name].metadata["choices"]
        for name in ("model", "norm", "export")
    }
    trained = {n for n, m in zoo.MODELS.items() if m.task == "classification"}
    assert set(choices["model"]) == trained
    assert set(choices["norm"]) == set(norms.NAMES)
    assert set(choices["export"]) == set(FORMATS)


# ---- folders of images ----


def folder_of_images(folder):
    image = data_records.encoded(np.zeros((6, 8, 3), np.uint8))
    for name, count in (("cat", 10), ("dog", 12)):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            (folder / name / f"{i:02d}.png").write_bytes(image)
    for name in ("__MACOSX/cat/._1.png", "cat/._00.png", "dog/.hidden/0.png"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"no image")
    for name in ("cat/a.tiff", "cat/b.TIFF", "dog/notes", "loose.png", "dog/x.heic"):
        (folder / name).write_bytes(image)


@once
def test_it_is_told_what_a_folder_holds_and_what_is_skipped(tmp_path):
    folder_of_images(tmp_path)
    loaded = data.load("folder", tmp_path)
    assert loaded.class_names == ("cat", "dog")
    assert len(loaded.train) + len(loaded.test) == 22
    assert loaded.source == (
        f"image folder {tmp_path}: 22 images, all of 8 x 6 pixels; 2 classes of 10 to "
        "12 (cat, dog); 20 to train, 2 to test: every 10th of a class, by name; "
        "skipped 3 with names that systems give (__MACOSX, ._*, .DS_Store), 2 ending "
        "in .tiff, 1 without an ending, 1 ending in .heic, 1 in no class folder; read "
        "are .png, .jpg, .jpeg, .webp, .bmp, .ppm, .gif"
    )


@once
def test_a_class_of_other_endings_says_which(tmp_path):
    folder_of_images(tmp_path)
    for path in (tmp_path / "cat").glob("*.png"):
        path.rename(path.with_suffix(".tif"))
    with pytest.raises(ValueError, match="cat has no images.*10 ending in .tif"):
        data.load("folder", tmp_path)


def test_a_run_prints_what_its_folder_holds(tmp_path, capsys):
    folder_of_images(tmp_path / "data")
    where = (f"--data_dir={tmp_path / 'data'}", f"--run_dir={tmp_path / 'run'}")
    line = (*TINY, "--dataset=folder", "--train_examples=0", *where)
    assert call(*line) == 0
    out = capsys.readouterr().out
    assert "Data: image folder" in out
    assert "skipped 3 with names that systems give" in out
    facts = json.loads((tmp_path / "run" / "env.json").read_text())
    assert "22 images" in facts["data"]["source"]


# ---- time, curves, and what "best" means ----


def row(epoch, seconds):
    names = ("train_loss", "train_accuracy", "test_loss", "test_accuracy")
    return {
        **dict.fromkeys(names, 0.5),
        **{"epoch": epoch, "seconds": seconds, "evaluation_seconds": 1.0},
        "images_per_second": 10.0,
    }


@once
def test_time_left_is_told_from_the_second_epoch_without_the_first():
    rows = [row(1, 500.0), row(2, 60.0), row(3, 64.0)]
    assert "left" not in records._epoch_line(rows[:1], 10)
    assert records._epoch_line(rows[:2], 10).endswith("  8:08 left")
    assert records._epoch_line(rows, 70).endswith("  1:10:21 left")
    assert "left" not in records._epoch_line(rows, 3)


@once
def test_curves_say_how_the_training_images_were_changed(tmp_path, monkeypatch):
    label = records._train_label(
        Settings(label_smoothing=0.1, augment="crop_flip", dropout=0.1)
    )
    for words in ("while training", "smoothed by 0.1", "augmented: crop_flip", "drop"):
        assert words in label
    assert records._train_label(Settings(label_smoothing=0.0, augment="none")) == (
        "train, mean while training"
    )
    figure = pytest.importorskip("matplotlib.figure")
    axes = pytest.importorskip("matplotlib.axes")
    shown, legend = [], axes.Axes.legend
    monkeypatch.setattr(
        axes.Axes,
        "legend",
        lambda self, *a, **k: [
            shown.append([line.get_label() for line in self.get_lines()]),
            legend(self, *a, **k),
        ],
    )
    assert figure
    metrics.draw(tmp_path, [row(1, 1.0), row(2, 1.0)], "title", label)
    assert shown == [[label, "test, as it is"]] * 2
    assert (tmp_path / "curves.png").stat().st_size > 1000


@pytest.mark.parametrize("validated", [False, True])
def test_a_result_says_which_epoch_was_chosen_and_by_what(tmp_path, validated, capsys):
    more = ["--validation_examples=20"] * validated
    assert call(*TINY, "--epochs=3", f"--run_dir={tmp_path}", *more) == 0
    result = json.loads((tmp_path / "result.json").read_text())
    assert "best_epoch" not in result
    rows = [json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().split("\n")
            if x]  # fmt: skip
    if validated:
        assert result["chosen_by"] == "validation accuracy"
        scores = [row["validation_accuracy"] for row in rows]
        assert result["chosen_epoch"] == 1 + int(np.argmax(scores))
    else:
        assert result["chosen_by"] == "being the last"
        assert result["chosen_epoch"] == 3
    out = capsys.readouterr().out
    assert " left\n" in out
    assert " in all; everything is in" in out
