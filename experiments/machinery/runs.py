"""Runs train.py for given flags, once: what is finished is read, not repeated.

A run is known by its flags, whichever tables ask for it. Its work (checkpoints,
model.keras) is in runs/reproduce/MODEL-NORM-HASH, which git ignores; what is published
is a record: one JSON file with flags, command, result, one row an epoch, and
environment.
"""

import hashlib
import json
import os
import pathlib
import subprocess
import sys

from experiments.machinery import files
from zoo.errors import DIVERGED
from zoo.training.settings import Settings

ROOT = pathlib.Path(__file__).resolve().parents[2]
WORK = ROOT / "runs" / "reproduce"


class RunFailed(RuntimeError):
    """train.py ended with an error that is not a diverged training."""


def folder_of(table, budget):
    """Returns the folder of a table, by name, unless `--output` names another."""
    kept = "runs/smoke" if budget == "smoke" else "results"
    return ROOT / kept / table / budget


def key(flags):
    """Returns 10 hexadecimal digits that name a run by its flags."""
    text = json.dumps(flags, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def command(flags):
    """Returns the command line of a run, as people would type it."""
    return "python train.py " + " ".join(arguments(flags))


def arguments(flags):
    """Returns the flags of a run as arguments of train.py."""
    return [f"--{name}={value}" for name, value in flags.items()]


def work_folder(flags):
    """Returns the folder of a run's checkpoints and model.keras."""
    return WORK / f"{flags['model']}-{flags['norm']}-{key(flags)}"


def relative(model):
    """Returns the path of a run's model from the root of the repository, as a flag."""
    return f"runs/reproduce/{model.parent.name}/{model.name}"


def read(path, flags):
    """Returns the record at `path` if it is that of a run with these flags, or None."""
    try:
        record = json.loads(pathlib.Path(path).read_text())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise RunFailed(f"{path} is no JSON ({error}); delete it") from error
    return record if record["flags"] == flags else None


def ensure(path, name, flags, backend=None, say=print, again=False):
    """Returns the record of a run; trains, or goes on training, if it is not finished.

    Args:
        path: of the record.
        name: for lines of progress, such as "resnet_na-bn-seed0".
        flags: dict, of train.py. `--data_dir` comes from LNG_KERAS_DATA_DIR.
        backend: of the run, or None for KERAS_BACKEND as it is.
        say: function that prints a line of progress.
        again: bool, whether a run that has a record is trained nevertheless. The old
            record stays until the new one replaces it.

    Returns:
        dict `{"flags", "command", "result", "metrics", "environment"}`, or with
        "diverged" (the reason) in place of result and metrics.

    Raises:
        RunFailed: with the last line of train.py's errors.
        KeyboardInterrupt: after train.py has saved its state.
    """
    record = read(path, flags)
    if record is not None and not again:
        return record
    folder = work_folder(flags)
    folder.mkdir(parents=True, exist_ok=True)
    say(f"{name}: {command(flags)}")
    diverged = _train(flags, folder, backend)
    record = {"flags": flags, "command": command(flags)}
    if diverged:
        record["diverged"] = diverged
    else:
        record["result"] = _json(folder / "result.json")
        lines = (folder / "metrics.jsonl").read_text().splitlines()
        record["metrics"] = [json.loads(line) for line in lines]
    record["environment"] = _environment(folder)
    files.write_json(path, record)
    return record


def ensure_model(path, name, flags, backend=None, say=print):
    """Returns the path of a run's model.keras in its work folder.

    What is not there is copied from the preset it was published as, or trained; if it
    has a record, that is replaced by the new run's.
    """
    model = work_folder(flags) / "model.keras"
    if model.exists():
        return model
    if read(path, flags) is not None:
        published = _published(flags)
        if published is not None:
            return files.copy(published, model)
        say(f"{name}: the record is here, its model is not; training it again")
    ensure(path, name, flags, backend, say, again=True)
    return model


def _published(flags):
    """Returns the path of the preset that a run became, or None."""
    from zoo.runs import preset_store

    for name, card in preset_store.presets().items():
        if card["command"] == command(flags):
            return preset_store.preset_path(name)
    return None


def _train(flags, folder, backend):
    """Runs train.py to its end. Returns why it diverged, or None."""
    line = [*arguments(flags), f"--run_dir={folder}", "--resume_or_start"]
    if os.environ.get("LNG_KERAS_DATA_DIR") and _reads_folder(flags):
        line.append(f"--data_dir={os.environ['LNG_KERAS_DATA_DIR']}")
    environment = dict(os.environ)
    if backend is not None:
        environment["KERAS_BACKEND"] = backend
    with open(folder / "train.log", "a") as log:
        child = subprocess.Popen(
            [sys.executable, ROOT / "train.py", *line],
            cwd=ROOT,
            env=environment,
            stdout=log,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            _, errors = child.communicate()
        except BaseException:
            child.terminate()  # train.py saves its state and ends
            child.wait()
            raise
        log.write(errors)
    if child.returncode == 0:
        return None
    last = (errors.strip().splitlines() or ["no message"])[-1].removeprefix("error: ")
    if child.returncode == DIVERGED:  # in tuning this is a result
        return last.split(";")[0]
    if child.returncode in (130, 143):  # train.py was asked to stop, and so are we
        raise KeyboardInterrupt
    raise RunFailed(f"{last} (exit status {child.returncode}, {folder / 'train.log'})")


def _reads_folder(flags):
    """Whether the data of a run are not those in the repository."""
    return flags.get("dataset", Settings.dataset) != Settings.dataset


def _environment(folder):
    """What the numbers depend on, without the paths of the machine."""
    stored = _json(folder / "env.json")
    names = ("backend", "devices", "processor", "cores", "python", "versions", "git")
    # A run that an earlier version finished may not have said all of it.
    environment = {name: stored.get(name, "unknown") for name in names}
    data = stored["data"]
    environment["data"] = {name: data[name] for name in data if name != "source"}
    return environment


def _json(path):
    return json.loads(path.read_text())
