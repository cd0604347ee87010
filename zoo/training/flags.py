"""The command line of train.py: one flag for each setting, and what a run remembers.

Imports no backend, so that `--help` and mistakes are answered at once.
"""

import dataclasses
import pathlib
import sys

from absl import flags

from zoo.errors import fail
from zoo.training.settings import Settings
from zoo.training.settings.field import kind

_FIELDS = {field.name: field for field in dataclasses.fields(Settings)}
_DEFINE = {
    bool: flags.DEFINE_bool,
    int: flags.DEFINE_integer,
    float: flags.DEFINE_float,
    str: flags.DEFINE_string,
    tuple: flags.DEFINE_list,
}


def _define():
    """Returns new flags for all settings, and --tpu, at their defaults."""
    known = flags.FlagValues()
    for name, field in _FIELDS.items():
        default, doc = field.default, field.metadata["doc"]
        choices, of = field.metadata["choices"], kind(field)
        bounds = {}
        if of in (int, float):
            bounds["lower_bound"] = field.metadata["at_least"]
            bounds["upper_bound"] = field.metadata["at_most"]
        if choices and of is not tuple:
            flags.DEFINE_enum(name, default, choices, doc, flag_values=known)
        else:
            default = list(default) if of is tuple else default
            _DEFINE[of](name, default, doc, flag_values=known, **bounds)
    flags.DEFINE_bool(
        "tpu",
        False,
        "Short for --distribute=tpu. Default off: CPUs and GPUs need no word.",
        flag_values=known,
    )
    return known


def parse(argv):
    """Returns the Settings of a command line, and the set of names that it gives.

    Ends the program for --help, and for a mistake with one line and exit status 2.
    """
    known = _define()
    if {"--help", "-h", "-help", "--helpfull"} & set(argv[1:]):
        print(sys.modules["__main__"].__doc__)
        print(known.module_help(sys.modules[__name__]))
        sys.exit(0)
    try:
        rest = known(argv)
        settings = Settings(**{name: known[name].value for name in _FIELDS})
    except (flags.Error, OSError, ValueError) as error:
        return fail(error)
    if len(rest) > 1:
        fail(f"unexpected argument {rest[1]!r}; flags are written --name=value")
    given = {name for name in _FIELDS if known[name].present}
    if known.tpu:
        how = settings.distribute
        if "distribute" in given and how != "tpu":
            fail(f"--tpu and --distribute={how} differ; give one of them")
        settings = dataclasses.replace(settings, distribute="tpu")
        given.add("distribute")
    return settings, given


def write(settings):
    """Returns settings as the text of a flagfile: their record, one a line.

    Read back they give the same values: Python writes floats so that they round-trip.
    """
    return "".join(
        f"--{name}={','.join(value) if isinstance(value, tuple) else value}\n"
        for name, value in settings.record().items()
    )


def read(path):
    """Returns the settings in a run's flags.txt.

    Raises:
        ValueError: if it has a line that is no flag of train.py, or a wrong value.
    """
    known, stored = _define(), {}
    for line in pathlib.Path(path).read_text(errors="replace").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        name, _, text = line.removeprefix("--").partition("=")
        if name not in _FIELDS:
            raise ValueError(f"{path} has the line {line!r}, no flag of train.py")
        try:
            stored[name] = known[name].parser.parse(text)
        except ValueError as error:
            raise ValueError(f"{path} has the line {line!r}: {error}") from error
    return Settings(**stored)


def adopt(settings, given, path, only=None):
    """Takes the settings of a run's flags.txt that the command line does not give.

    Args:
        settings, given: of the command line, as from `parse`.
        path: of the flags.txt.
        only: names, or None for all.
    Returns:
        The settings, and those that the command line gives otherwise than the file, of
        those that change a result: a list of strings such as "--seed=3 (was 0)".
    Raises:
        ValueError: if the file has a line that is no flag of train.py.
    """
    stored, taken, differing = read(path), {}, []
    kept = sorted(name for name, field in _FIELDS.items() if field.metadata["kept"])
    for name in only or kept:
        new, old = getattr(settings, name), getattr(stored, name)
        if name not in given:
            taken[name] = old
        elif new != old and _FIELDS[name].metadata["result"]:
            differing.append(f"--{name}={new} (was {old})")
    return dataclasses.replace(settings, **taken), differing
