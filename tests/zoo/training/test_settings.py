"""Settings: typed, documented, frozen; the same on the command line and on disk."""

import dataclasses
import json
import pathlib
import re

import keras
import pytest

import zoo
from lng_keras._base.errors import UsageError
from zoo.training import assembly, completion, flags
from zoo.training.settings import Settings
from zoo.training.settings.field import kind

ROOT = pathlib.Path(__file__).resolve().parents[3]
FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
# Settings that no default is, of every type.
OTHER = Settings(
    learning_rate=0.1 + 0.2,
    export=("onnx", "litert"),
    grayscale=True,
    group_size=4,
    activation="relu",
    jit_compile=False,
    data_dir="a folder/with = and, commas",
)


def records():
    """The flags of every record under results/, those of its run alone."""
    found = []
    for path in sorted((ROOT / "results").rglob("*.json")):
        content = json.loads(path.read_text())
        if isinstance(content, dict) and "flags" in content:
            # What measure_cost.py is told beside the flags of its model.
            own = ("repeats", "against")
            recorded = content["flags"]
            found.append({n: v for n, v in recorded.items() if n not in own})
            found += [recorded["against"]] if "against" in recorded else []
    return found


@pytest.mark.parametrize("name", FIELDS)
def test_every_setting_has_a_type_and_states_its_default_and_reason(name):
    field = FIELDS[name]
    assert kind(field) in (bool, int, float, str, tuple)
    assert "efault" in field.metadata["doc"]
    assert len(field.metadata["doc"]) > 40 or name == "heads"


def test_settings_do_not_change():
    with pytest.raises(dataclasses.FrozenInstanceError):
        Settings().seed = 3


WRONG = {
    "text as a number": (dict(epochs="3"), "--epochs=3 is of type str"),
    "a number as text": (dict(norm=3), "--norm=3 is of type int"),
    "a fraction of epochs": (dict(epochs=1.5), "--epochs=1.5 is of type float"),
    "a truth as a number": (dict(seed=True), "--seed=True is of type bool"),
    "nothing": (dict(seed=None), "--seed=None is of type NoneType"),
    "text as a list": (dict(export="onnx"), "--export=onnx is of type str"),
    "too small": (dict(epochs=0), "--epochs=0 must be at least 1"),
    "too large": (dict(ema=1.0), "--ema=1.0 must be at most 0.999999"),
    "no choice": (dict(augment="cut"), "--augment=cut must be one of none, crop,"),
    "not a number": (dict(ema=float("nan")), "--ema=nan is not finite"),
    "unknown": (dict(lerning_rate=1), "no setting is named lerning_rate"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_settings_are_refused_in_one_line(case):
    values, message = WRONG[case]
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        Settings.from_record(values)
    assert "\n" not in str(error.value)


def test_whole_numbers_become_floats_and_lists_tuples():
    settings = Settings.from_record({"weight_decay": 1, "export": ["onnx"]})
    assert type(settings.weight_decay) is float
    assert settings.export == ("onnx",)


@pytest.mark.parametrize("settings", [Settings(), OTHER])
def test_settings_survive_a_flagfile_a_record_and_the_command_line(tmp_path, settings):
    path = tmp_path / "flags.txt"
    path.write_text(flags.write(settings))
    assert flags.read(path) == settings
    assert flags.parse(["train.py", f"--flagfile={path}"])[0] == settings
    stored = json.loads(json.dumps(settings.record()))
    assert Settings.from_record(stored) == settings


def test_every_record_is_settings_and_back():
    found = records()
    assert len(found) > 500
    for recorded in found:
        settings = Settings.from_record(recorded)
        back = settings.record()
        assert recorded == {name: back[name] for name in recorded}
        line = [f"--{name}={value}" for name, value in recorded.items()]
        assert flags.parse(["train.py", *line]) == (settings, recorded.keys())


def test_a_flags_txt_of_before_is_read_and_written_alike():
    path = ROOT / "tests" / "lng_keras" / "saved_before" / "run" / "flags.txt"
    assert flags.write(flags.read(path)) == path.read_text()


def test_a_run_is_adopted_but_for_what_the_command_line_gives(tmp_path):
    path = tmp_path / "flags.txt"
    path.write_text("# a comment\n--seed=3\n--depth=2\n--steps_per_execution=4\n")
    asked = flags.parse(["train.py", "--seed=0", "--steps_per_execution=2"])
    settings, differing = flags.adopt(*asked, path)
    assert differing == ["--seed=0 (was 3)"]
    assert settings == Settings(depth=2, steps_per_execution=2)
    settings, _ = flags.adopt(*asked, path, only=("dataset",))
    assert settings.depth is None
    path.write_text("--colour=red\n")
    with pytest.raises(ValueError, match="'--colour=red', no flag of train.py"):
        flags.adopt(*asked, path)
    path.write_bytes(b"\xff\n")
    with pytest.raises(ValueError, match="flags.txt has the line '\ufffd', no flag"):
        flags.adopt(*asked, path)
    path.write_text("--seed=x\n")
    with pytest.raises(ValueError, match="flags.txt has the line '--seed=x': invalid"):
        flags.adopt(*asked, path)


def test_one_command_line_leaves_nothing_to_the_next():
    flags.parse(["train.py", "--seed=3", "--tpu"])
    assert flags.parse(["train.py"]) == (Settings(), set())


CLASSIFIERS = [n for n, m in zoo.MODELS.items() if m.task == "classification"]


def test_a_model_of_text_is_not_trained_on_images():
    with pytest.raises(ValueError, match="--model=transformer must be one of vit,"):
        Settings(model="transformer")


@pytest.mark.parametrize("name", CLASSIFIERS)
def test_complete_settings_leave_open_only_what_the_model_decides(name):
    settings = completion.complete(Settings(model=name), zoo.data.load())
    left = {n for n in FIELDS if getattr(settings, n) is None}
    assert not left - {
        *assembly._MODEL_ARGUMENTS,
        *("groups", "group_size", "run_dir", "evaluate", "data_dir"),
        *("init", "teacher"),
    }
    recipe = zoo.MODELS[name].recipe
    assert {n: getattr(settings, n) for n in recipe} == recipe
    assert completion.complete(settings, zoo.data.load()) == settings


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, 10),
        ({"width": 80}, None),
        ({"groups": 5}, None),
        ({"group_size": 4}, 4),
        ({"norm": "ln"}, None),
        ({"model": "vit"}, None),
    ],
)
def test_ln_net_has_a_group_size_that_divides_its_own_width(changes, wanted):
    settings = Settings(**{"model": "ln_net", **changes})
    assert completion.complete(settings, zoo.data.load()).group_size == wanted


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({}, "crop_flip"),
        ({"dataset": "mnist"}, "crop"),
        ({"random_labels": True}, "none"),
        ({"random_labels": True, "augment": "crop"}, "crop"),
    ],
)
def test_augmentation_fits_the_labels(changes, wanted):
    settings = completion.complete(Settings(**changes), zoo.data.load())
    assert settings.augment == wanted


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"distribute": "multi_worker", "search_group_size": ("4",)},
            "--search_group_size runs on one worker",
        ),
        (
            {"distribute": "multi_worker", "augment": "mixup"},
            "--augment=mixup mixes whole batches",
        ),
    ],
)
def test_settings_that_do_not_go_together_are_refused(changes, message):
    with pytest.raises(UsageError, match=message):
        completion.check(Settings(**changes))


def test_several_steps_a_call_are_refused_where_they_do_not_exist():
    several = Settings(steps_per_execution=2)
    workers = dataclasses.replace(several, distribute="multi_worker")
    backend = keras.backend.backend()
    for settings, without in ((several, ["torch"]), (workers, ["torch", "tensorflow"])):
        if backend in without:
            with pytest.raises(UsageError, match="--steps_per_execution"):
                completion.check(settings)
        else:
            completion.check(settings)
