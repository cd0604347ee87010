"""What a command line can be refused for before Keras is imported."""

import argparse
import os

from lng_keras._base.errors import UsageError
from lng_keras.adopt.defaults import SUFFIX


def check(arguments: argparse.Namespace) -> None:
    """Refuses arguments that have no effect, and files that are not there.

    Raises:
        UsageError: in one line.
    """
    _refuse_useless(arguments)
    check_model(arguments.model)
    if getattr(arguments, "data", None):
        check_data(arguments.data)
    if arguments.command == "export":
        target(arguments.output, arguments.format)


def _refuse_useless(arguments):
    given = vars(arguments)
    data = given.get("data")
    if "data" in given and not data:
        for name in ("data_dir", "examples", "pixels"):
            if given[name] is not None:
                raise UsageError(
                    f"--{name}={given[name]} has no effect without --data; give that "
                    "too, or leave it out"
                )
    if data and given["data_dir"] and (os.path.isdir(data) or data.endswith(".npz")):
        raise UsageError(
            f"--data_dir={given['data_dir']} has no effect on --data={data}, which is "
            "read itself; leave it out"
        )


def is_file(name: str) -> bool:
    """Whether `name` is a model's file, and no `module:function`."""
    return os.path.exists(name) or name.endswith((".keras", ".h5"))


def check_model(name: str) -> None:
    """Refuses what is neither a file that is there nor `module:function`."""
    if is_file(name) and not os.path.isfile(name):
        raise UsageError(f"No such model file: {name}")
    if not is_file(name) and ":" not in name:
        raise UsageError(f"No model {name!r}: give a .keras file or module:function.")


def check_data(name: str) -> None:
    """Refuses a path that is not there."""
    if not os.path.exists(name) and (os.path.sep in name or name.endswith(".npz")):
        raise UsageError(f"No such data folder or .npz file: {name}")


def target(path: str | os.PathLike[str], format: str) -> str:
    """Returns the path of the file to export to, its ending added if it is missing.

    Raises:
        UsageError: if it exists, or its folder does not.
    """
    path = os.path.normpath(os.fspath(path))  # "out/" has no last part to name it by
    path = path if path.endswith(SUFFIX[format]) else path + SUFFIX[format]
    if os.path.exists(path):
        raise UsageError(f"{path} exists already; remove it or name another.")
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise UsageError(f"No such folder: {folder}")
    return path
