"""On what a run runs: versions, backend, devices, git commit."""

import pathlib
import platform
import subprocess
import sys

from lng_keras._base import machine

_PACKAGES = (
    *("keras", "numpy", "tensorflow", "tensorflow-cpu", "jax", "jaxlib", "torch"),
    *("tensorflow-datasets", "keras-cv", "pillow"),
)
_ROOT = pathlib.Path(__file__).resolve().parents[2]


def describe():
    """Returns versions, backend, devices and git commit as a dict for env.json."""
    import keras

    import lng_keras

    return {
        "backend": keras.backend.backend(),
        "devices": machine.devices(keras.backend.backend()),
        "processor": machine.processor(),
        "cores": machine.cores(),
        "python": platform.python_version(),
        "platform": platform.platform(),
        "versions": {"lng_keras": lng_keras.__version__, **machine.versions(_PACKAGES)},
        "git": git_commit(),
        "command": sys.argv,
    }


def git_commit(root=_ROOT):
    """Returns the commit and whether files differ from it, or None outside git."""

    def git(*arguments):
        return subprocess.run(
            ["git", "-C", root, *arguments], capture_output=True, text=True, timeout=10
        )

    try:
        commit = git("rev-parse", "HEAD")
        if commit.returncode:
            return None
        # results/ holds what runs gave: a table that grows changes no code.
        of_code = ("--", ":/", ":(top,exclude)results")
        status = git("status", "--porcelain", "--untracked-files=no", *of_code)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"commit": commit.stdout.strip(), "changed": bool(status.stdout.strip())}
