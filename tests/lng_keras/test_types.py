"""What is public has types, and the wheel says so."""

import ast
import pathlib
import tomllib

import pytest

import lng_keras

pytestmark = pytest.mark.once(reason="reads source code")
ROOT = pathlib.Path(lng_keras.__file__).parent
# Methods that Keras, torch, argparse and Python call: their types are theirs.
INHERITED = (
    *("build", "call", "compute_output_shape", "compute_output_spec", "get_config"),
    *("from_config", "on_epoch_begin", "on_epoch_end", "on_train_batch_end"),
    *("on_train_end", "forward", "backward", "error"),
)


def public(body, inside=()):
    """Yields `(name, function)` of what a module's or a public class' body defines."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public(node.body, (node.name,))
        if isinstance(node, ast.FunctionDef):
            special = node.name in ("__init__", "__call__") and inside
            if special or not node.name.startswith("_"):
                if not (inside and node.name in INHERITED):
                    yield ".".join([*inside, node.name]), node


def untyped(function, inside):
    arguments = function.args
    named = arguments.posonlyargs + arguments.args + arguments.kwonlyargs
    named += [a for a in (arguments.vararg, arguments.kwarg) if a]
    missing = [a.arg for a in named[inside:] if a.annotation is None]
    if function.returns is None and function.name != "__init__":
        missing.append("return")
    return missing


def test_every_public_function_tells_its_types():
    missing = {}
    for path in ROOT.rglob("*.py"):
        for name, function in public(ast.parse(path.read_text("utf-8")).body):
            static = any(
                getattr(d, "id", "") == "staticmethod" for d in function.decorator_list
            )
            if found := untyped(function, "." in name and not static):
                missing[f"{path.relative_to(ROOT)}: {name}"] = found
    assert not missing


def test_the_wheel_takes_every_file_that_is_not_python():
    settings = tomllib.loads((ROOT.parent / "pyproject.toml").read_text("utf-8"))
    patterns = settings["tool"]["setuptools"]["package-data"]["lng_keras"]
    taken = {path for pattern in patterns for path in ROOT.glob(pattern)}
    there = {p for p in ROOT.rglob("*") if p.is_file() and ".py" != p.suffix[:3]}
    there = {p for p in there if p.suffix != ".md"}  # for who reads the source
    assert ROOT / "py.typed" in taken
    assert taken == {p for p in there if "__pycache__" not in p.parts}
