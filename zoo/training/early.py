"""What can be refused before a backend is imported, which takes seconds.

Nothing of `lng_keras` is imported here: that imports Keras, and Keras its backend.
"""

import dataclasses
import difflib
import pathlib

from zoo.training.settings import Settings

_PRESETS = pathlib.Path(__file__).resolve().parents[1] / "presets"
_IN_REPOSITORY = Settings.dataset  # the default
_NEED_FOLDER = ("folder", "tfrecord")
_OF_EVALUATION = (
    *("evaluate", "dataset", "data_dir", "image_size", "grayscale"),
    *("distribute", "seed"),  # harmless, and often in every command of a script
)
# Flags -> what they are for; without it they have no effect.
_ONLY_WITH = {
    ("teacher_weight", "temperature"): "teacher",
    ("allow_changes",): "resume",
}
_OF_SEARCH = ("groups", "group_size", "checkpoint_minutes")


def check(settings, given, argv):
    """Refuses flags that have no effect or clash, and places that are not there.

    Args:
        settings, given: of the command line, as from `flags.parse`.
        argv: the command line. What a flagfile holds may be without effect: the
            flags.txt of a run has all of its settings.
    Raises:
        ValueError: in one line.
    """
    _refuse_useless(settings, given, _written(argv))
    if settings.evaluate:
        _check_model("evaluate", settings.evaluate)
        return
    _check_run(settings)
    for name in ("init", "teacher"):
        if getattr(settings, name):
            _check_model(name, getattr(settings, name))
    if not _continues(settings):  # else the run's own flags say which data
        _check_data(settings)


def check_data_dir(settings, given):
    """Refuses --data_dir for images that are in the repository.

    Raises:
        ValueError: in one line.
    """
    if "data_dir" in given and settings.dataset == _IN_REPOSITORY:
        raise ValueError(
            f"--data_dir={settings.data_dir} has no effect on --dataset="
            f"{_IN_REPOSITORY}, whose images are in the repository; say which data "
            "the folder holds: --dataset=folder, tfrecord, cifar10 or another name"
        )


def _written(argv):
    """The names of the flags that a command line has itself."""
    names = {word.lstrip("-").partition("=")[0] for word in argv if word[:1] == "-"}
    known = (field.name for field in dataclasses.fields(Settings))
    return {name for name in known if {name, f"no{name}"} & names}


def _refuse_useless(settings, given, written):
    if settings.resume and settings.resume_or_start:
        raise ValueError("--resume and --resume_or_start differ; give one of them")
    if settings.evaluate:
        if useless := sorted(written - set(_OF_EVALUATION)):
            raise ValueError(
                f"--{useless[0]} has no effect on --evaluate, which trains nothing; "
                "leave it out"
            )
    for names, needed in _ONLY_WITH.items():
        there = getattr(settings, needed) or needed == "resume" and _continues(settings)
        for name in names:
            if name in written and not there:
                raise ValueError(
                    f"--{name}={getattr(settings, name)} has no effect without "
                    f"--{needed}; give that too, or leave it out"
                )
    if settings.search_group_size:
        for name in _OF_SEARCH:
            if name in written:
                raise ValueError(
                    f"--{name}={getattr(settings, name)} has no effect on "
                    "--search_group_size, which tries sizes of its own and saves by "
                    "itself; leave it out"
                )
    if not _continues(settings) and not settings.evaluate:
        check_data_dir(settings, given & written)


def _continues(settings):
    return settings.resume or settings.resume_or_start


def _check_run(settings):
    folder = settings.run_dir and pathlib.Path(settings.run_dir)
    if not folder:
        for name in ("resume", "resume_or_start"):
            if getattr(settings, name):
                raise ValueError(
                    f"--{name} needs --run_dir, the folder of the run to continue"
                )
        return
    holds_run = (folder / "flags.txt").exists()
    if settings.resume and not holds_run:
        near = difflib.get_close_matches(folder.name, _runs_beside(folder), 1)
        raise ValueError(
            f"{folder} holds no run to continue"
            + (f"; did you mean --run_dir={folder.parent / near[0]}?" if near else "")
            + "; --resume_or_start begins one there"
        )
    if holds_run and not _continues(settings):
        raise ValueError(
            f"{folder} holds a run; --resume continues it, another --run_dir starts one"
        )


def _runs_beside(folder):
    try:
        return [path.parent.name for path in folder.parent.glob("*/flags.txt")]
    except OSError:
        return []


def _check_model(flag, name):
    path = pathlib.Path(name)
    if path.exists() or (_PRESETS / f"{name}.json").is_file():
        return
    if path.suffix == ".keras":
        raise ValueError(f"--{flag}={name} does not exist; give a model.keras")
    known = ", ".join(sorted(p.stem for p in _PRESETS.glob("*.json")))
    raise ValueError(f"--{flag}={name} is no file and no preset; presets: {known}")


def _check_data(settings):
    folder, of = settings.data_dir, settings.dataset
    if of in _NEED_FOLDER and not folder:
        raise ValueError(f"--dataset={of} needs --data_dir, the folder of its files")
    remote = folder and "://" in folder  # Google Cloud Storage, say
    if folder and not remote and not pathlib.Path(folder).expanduser().exists():
        raise ValueError(f"--data_dir={folder} is no folder; give that of the data")
