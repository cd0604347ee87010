"""train.py from the command line: runs, their folders, resuming, and mistakes."""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest

from lng_keras._base.errors import UsageError
from tests.command_line import TINY, call, error_line
from zoo import data
from zoo.errors import DIVERGED
from zoo.runs import environment, metrics, run_folder
from zoo.training import continuation, examples, flags
from zoo.training.settings import Settings

ROOT = pathlib.Path(__file__).resolve().parents[2]


def test_a_run_leaves_its_folder_and_repeats_from_its_flags(tmp_path, capsys):
    assert call(*TINY, f"--run_dir={tmp_path / 'a'}", "--random_labels") == 0
    out = capsys.readouterr().out.splitlines()
    assert "sample" in out[0]
    assert "--dataset=cifar10" in out[0]
    assert out[-1].startswith("Test accuracy 0.")
    assert str(tmp_path / "a") in out[-1]
    names = {p.name for p in (tmp_path / "a").iterdir()}
    assert names >= {
        *("flags.txt", "env.json", "metrics.jsonl", "metrics.csv", "checkpoints"),
        *("model.keras", "result.json", "random_labels.json"),
    }
    assert not list(tmp_path.rglob("*.tmp*"))
    result = json.loads((tmp_path / "a" / "result.json").read_text())
    assert result.keys() >= {
        *("test_accuracy", "train_accuracy", "test_loss", "epochs", "parameters"),
        *("seconds", "dataset", "seed"),
    }
    flagfile = f"--flagfile={tmp_path / 'a' / 'flags.txt'}"
    assert call(flagfile, f"--run_dir={tmp_path / 'b'}") == 0
    again = json.loads((tmp_path / "b" / "result.json").read_text())
    for name in ("test_accuracy", "test_loss", "train_loss"):
        assert result[name] == again[name]
    capsys.readouterr()
    assert call(f"--evaluate={tmp_path / 'a' / 'model.keras'}") == 0
    assert f"Test accuracy {result['test_accuracy']:.4f}" in capsys.readouterr().out


def test_resume_of_a_finished_run_says_so_and_changed_flags_are_refused(
    tmp_path, capsys
):
    folder = f"--run_dir={tmp_path / 'run'}"
    assert call(*TINY, folder) == 0
    assert call("--resume", folder) == 0
    assert "Finished before" in capsys.readouterr().out
    line = error_line("--resume", folder, "--seed=3", "--epochs=1")
    assert "--seed=3 (was 0) would change the result" in line
    assert "epochs" not in line
    assert "holds a run" in error_line(*TINY, folder)


def test_damaged_files_of_a_run_are_told_in_one_line(tmp_path):
    folder = f"--run_dir={tmp_path}"
    assert call(*TINY, "--random_labels", folder) == 0
    # The last of all first: without it a run reads what it read before.
    for name in ("result.json", "env.json", "random_labels.json"):
        path = tmp_path / name
        for content in ("{bad", "null", "{}"):
            path.write_text(content)
            line = error_line("--resume", folder)
            assert f"{path} " in line
            assert line.endswith("; delete it")
        path.unlink()
    assert call("--resume", folder) == 0


def test_a_file_where_the_folder_of_a_run_should_be_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    for path in (file, file / "run"):
        assert f"{path} is no folder" in error_line(*TINY, f"--run_dir={path}")
    assert file.read_text() == "mine"


def test_lock_is_for_one_process_and_dies_with_it(tmp_path):
    code = "import sys, time; from zoo.runs import run_folder; "
    code += "lock = run_folder.lock(sys.argv[1]); print('locked', flush=True); "
    code += "time.sleep(60)"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, tmp_path], cwd=ROOT, stdout=subprocess.PIPE
    )
    with holder:
        assert holder.stdout.readline() == b"locked\n"
        line = error_line(*TINY, f"--run_dir={tmp_path}")
        assert "another process is training" in line
        holder.kill()
    os.close(run_folder.lock(tmp_path))


def test_another_backend_or_data_set_is_refused_other_versions_warn(capsys):
    from zoo.runs import records

    old = {"backend": "jax", "data": {"sha256": "a"}, "versions": {"keras": "3.0"}}
    records._compare(old, {**old, "versions": {"keras": "3.1"}}, False)
    assert "keras 3.0 -> 3.1" in capsys.readouterr().out
    for changed in ({"backend": "torch"}, {"data": {"sha256": "b"}}):
        with pytest.raises(UsageError, match="changes the result"):
            records._compare(old, {**old, **changed}, False)
        records._compare(old, {**old, **changed}, True)


MISTAKES = {
    "unknown flag": (["--lerning_rate=1"], "learning_rate"),
    "no number": (["--epochs=many"], "epochs"),
    "out of range": (["--dropout=1.5"], "dropout"),
    "unknown choice": (["--augment=cut"], "crop_flip"),
    "stray word": (["vit"], "unexpected argument 'vit'"),
    "no flagfile": (["--flagfile=/nowhere"], "nowhere"),
    "unknown model": (["--model=vgg"], "vit_ti"),
    "unknown norm": (["--norm=lgn"], "lng_position"),
    "groups of bn": (["--norm=bn", "--groups=2"], "has no groups"),
    "groups twice": (["--groups=2", "--group_size=2"], "group"),
    "group size": (["--group_size=3"], "norm1"),
    "patch": (["--model=vit", "--patch_size=5"], "patch_size"),
    "foreign argument": (["--patch_size=4"], "no argument 'patch_size'"),
    "large batch": (["--batch_size=64"], "larger than the 32 training images"),
    "too many images": (["--train_examples=5000"], "ask for fewer"),
    "no folder": (["--dataset=folder"], "needs --data_dir"),
    "absent folder": (["--dataset=folder", "--data_dir=/nowhere"], "is no folder"),
    "image size": (["--image_size=16"], "has a size of its own"),
    "no record folder": (["--dataset=tfrecord"], "needs --data_dir"),
    "absent records": (["--dataset=tfrecord", "--data_dir=/nowhere"], "is no folder"),
    "resume nothing": (["--resume"], "needs --run_dir"),
    "no model file": (["--evaluate=/nowhere/model.keras"], "does not exist"),
    "no weights": (["--init=/nowhere/model.keras"], "does not exist"),
    "tpu and data": (["--tpu", "--distribute=data"], "--tpu and --distribute=data"),
    "no such device": (["--tpu"], "--distribute=tpu"),
    "no finite number": (["--warmup_epochs=inf"], "--warmup_epochs=inf is not finite"),
}


@pytest.mark.parametrize("case", MISTAKES)
def test_mistakes_are_one_line_and_status_2(tmp_path, case, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wrong, message = MISTAKES[case]
    given = [*TINY, f"--run_dir={tmp_path / 'run'}"]
    if case == "resume nothing":
        given.pop()
    if case == "no model file":  # which trains nothing
        given.clear()
    assert message in error_line(*given, *wrong)
    assert not (tmp_path / "run" / "flags.txt").exists()


def test_a_training_that_diverges_is_one_line_and_has_a_status_of_its_own(tmp_path):
    flags = (*TINY, f"--run_dir={tmp_path / 'run'}", "--learning_rate=1e38")
    line = error_line(*flags, status=DIVERGED)
    assert "last good checkpoint is in" in line
    assert not (tmp_path / "run" / "result.json").exists()


def test_a_backend_that_is_not_installed_is_one_line(tmp_path):
    absent = tmp_path / "torch"
    absent.mkdir()
    (absent / "__init__.py").write_text(
        "raise ModuleNotFoundError(\"No module named 'torch'\", name='torch')"
    )
    path = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", *TINY, f"--run_dir={tmp_path / 'run'}"],
        env={**os.environ, "KERAS_BACKEND": "torch", "PYTHONPATH": path},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: the package torch is not installed")
    assert "Traceback" not in done.stderr


def test_a_backend_that_does_not_train_is_one_line(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "numpy")
    line = error_line(*TINY)
    assert "KERAS_BACKEND=numpy does not train; give tensorflow" in line


def test_a_missing_extra_is_named_in_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "keras_tuner", None)
    flags = ["--search_group_size=2,4", f"--run_dir={tmp_path / 'run'}"]
    flags += [flag for flag in TINY if "group_size" not in flag]
    assert "pip install '.[tune]'" in error_line(*flags)


def test_a_stopped_run_goes_on_only_where_its_place_exists():
    meta = {"position": {"epoch": 3, "batch": 5}, "steps": 10}
    continuation.check_position(meta, 5, 10, "run")
    with pytest.raises(UsageError, match="has 3 epochs; --epochs=2 is fewer"):
        continuation.check_position(meta, 2, 10, "run")
    with pytest.raises(UsageError, match="epoch of 10 steps, and now one has 4"):
        continuation.check_position(meta, 5, 4, "run")
    meta["position"]["batch"] = 0
    continuation.check_position(meta, 5, 4, "run")  # the next epoch may be any


def test_only_what_a_run_left_half_written_is_deleted(tmp_path):
    left = [tmp_path / "model.tmp.keras", tmp_path / "checkpoints" / "last.npz.tmp"]
    other = [tmp_path / "mine" / "a.tmp"]
    for path in left + other:
        path.parent.mkdir(exist_ok=True)
        path.touch()
    run_folder.remove_temporary_files(tmp_path)  # no run: nothing of ours
    assert all(path.exists() for path in left + other)
    (tmp_path / "flags.txt").touch()
    run_folder.remove_temporary_files(tmp_path)
    assert not any(path.exists() for path in left)
    assert other[0].exists()


def test_group_sizes_are_not_chosen_by_test_images(tmp_path):
    whole = data.load()
    settings = Settings(search_group_size=("2", "4"))
    prepared = examples.prepare(whole, settings, tmp_path)
    assert len(prepared.validation) == len(whole.train) // 10


def test_model_of_other_images_is_refused(tmp_path):
    assert call(*TINY, f"--run_dir={tmp_path / 'run'}", "--grayscale") == 0
    path = tmp_path / "run" / "model.keras"
    line = error_line(f"--evaluate={path}", "--grayscale=false")
    assert "(32, 32, 1), these have (32, 32, 3)" in line
    path.write_bytes(path.read_bytes()[:500])
    assert "truncated" in error_line(f"--evaluate={path}")


def test_metrics_of_a_resumed_run_are_written_anew(tmp_path):
    rows = [{"epoch": i, "train_loss": 0.1 * i, "finished_at": 1.0} for i in (1, 2)]
    metrics.write(tmp_path, [*rows, rows[0]])
    metrics.write(tmp_path, rows)
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2]
    assert len((tmp_path / "metrics.csv").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    ("arguments", "status", "told"),
    [(["--help"], 0, "--group_size"), (["--epochs=0"], 2, "--epochs=0")],
)
def test_help_and_mistakes_are_answered_before_any_backend_is_imported(
    arguments, status, told
):
    code = f"import sys, train\ntry: train.main(['train.py', *{arguments}])\n"
    code += f"except SystemExit as end: assert (end.code or 0) == {status}\n"
    code += "assert not {'keras', 'tensorflow', 'jax', 'torch'} & set(sys.modules)"
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert told in done.stdout + done.stderr
    # 0.1 s on a quiet machine; the bar is 2 s.
    assert time.monotonic() - started < 10


@pytest.mark.slow
@pytest.mark.only("jax", reason="forces JAX devices")
def test_four_devices_give_the_loss_of_one(tmp_path):
    losses = []
    for devices, distribute in ((1, "none"), (4, "data")):
        flags = f"--xla_force_host_platform_device_count={devices}"
        folder = tmp_path / str(devices)
        subprocess.run(
            [sys.executable, "train.py", *TINY, f"--run_dir={folder}"]
            + [f"--distribute={distribute}", "--epochs=2", "--train_examples=64"],
            cwd=ROOT,
            env={**os.environ, "XLA_FLAGS": flags},
            check=True,
        )
        written = json.loads((folder / "env.json").read_text())
        assert len(written["devices"]) == devices
        rows = (folder / "metrics.jsonl").read_text().splitlines()
        losses.append([json.loads(row)["train_loss"] for row in rows])
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-5)


FAULTS = {
    "kill": 4,
    "signals": 2,
    "disk": 2,
    "fuzz": 60,
    "numerics": 300,
    "streaming": 1,
}


@pytest.mark.slow
@pytest.mark.parametrize("fault", FAULTS)
def test_nothing_is_lost_to_stress(fault):
    subprocess.run(
        [sys.executable, "-m", "tests.stress", fault, f"--times={FAULTS[fault]}"],
        cwd=ROOT,
        check=True,
    )


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.flags")))
def test_example_flagfiles_parse(path):
    settings, _ = flags.parse(["train.py", f"--flagfile={path}", "--seed=3"])
    assert settings.seed == 3
    assert settings.dataset == "cifar10"


@pytest.mark.skipif(shutil.which("git") is None, reason="needs git")
def test_commit_of_a_run_is_changed_by_code_and_not_by_results(tmp_path):
    assert environment.git_commit(tmp_path) is None
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c")
    for name in ("results/table.md", "train.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("1")
    for command in (["init"], ["add", "."], [*who, "commit", "-m", "a"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True, capture_output=True)
    (tmp_path / "results/table.md").write_text("2")
    state = environment.git_commit(tmp_path)
    assert len(state["commit"]) == 40
    assert not state["changed"]
    (tmp_path / "train.py").write_text("2")
    assert environment.git_commit(tmp_path)["changed"]
