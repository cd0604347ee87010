"""Runs every check there is: format, lint, and the tests on each backend.

    python -m tests                      all
    python -m tests --backend=jax        one backend, without the other checks

The whole suite runs on TensorFlow; JAX and torch run what touches the backend.
"""

import argparse
import os
import pathlib
import subprocess
import sys

FOLDER = pathlib.Path(__file__).parent
BACKENDS = ("tensorflow", "jax", "torch")
# What runs on JAX and torch as well: layers, kernels, models, measures, swaps, exports.
EVERYWHERE = (
    "test_determinism",
    "test_distribution",
    "test_example_notebooks",
    "test_export",
    "test_kernels",
    "test_measures",
    "test_normalization",
    "test_norms",
    "test_package",
    "test_pallas",
    "test_resident",
    "test_presets",
    "test_streaming",
    "test_swap.py",
    "test_training",
    "test_zoo",
)


def commands(only):
    python, beside = [sys.executable, "-m"], pathlib.Path(sys.executable).parent
    if only is None:
        yield {}, [*python, "ruff", "check", "."]
        yield {}, [*python, "ruff", "format", "--check", "."]
        yield {}, [str(beside / "lint-imports"), "--no-logo"]
    for backend in BACKENDS:
        if only not in (None, backend):
            continue
        files = sorted(
            str(p.relative_to(FOLDER.parent)) for p in FOLDER.rglob("test_*.py")
        )
        if backend != "tensorflow":
            files = [f for f in files if pathlib.Path(f).name.startswith(EVERYWHERE)]
        yield {"KERAS_BACKEND": backend}, [*python, "pytest", "--durations=5", *files]


def main():
    parser = argparse.ArgumentParser(prog="python -m tests", description=__doc__)
    parser.add_argument("--backend", choices=BACKENDS)
    failed = []
    for variables, command in commands(parser.parse_args().backend):
        settings = " ".join(f"{k}={v}" for k, v in variables.items())
        shown = f"{settings} {' '.join(map(os.path.basename, command[:4]))}".strip()
        print(f"\n=== {shown}", flush=True)
        quiet = {"TF_CPP_MIN_LOG_LEVEL": "3", "JAX_PLATFORMS": "cpu"}
        environment = {**quiet, **os.environ, **variables}
        if subprocess.run(command, env=environment, cwd=FOLDER.parent).returncode:
            failed.append(shown)
    if failed:
        sys.exit("Failed: " + "; ".join(failed))
    print("\nAll checks passed.")


if __name__ == "__main__":
    main()
