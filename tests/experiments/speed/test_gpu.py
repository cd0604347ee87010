"""The script for a GPU runs to its end on a CPU, and tells what is wrong."""

import importlib
import pathlib
import subprocess
import sys
from dataclasses import replace

import pytest

from experiments.machinery import files
from experiments.speed.gpu import cases

pytestmark = pytest.mark.only(
    "jax", reason="the kernels that it is for are interpreted by JAX"
)
ROOT = pathlib.Path(__file__).resolve().parents[3]
TINY = replace(
    cases.REHEARSAL,
    shapes={"tokens": (4, 6)},
    checked=(3, 6),
    sizes=(3,),
    offsets=(0.0, 1e4),
    dtypes=("float32",),
)


@pytest.fixture
def gpu():
    """Imports what needs JAX."""
    return lambda name: importlib.import_module(f"experiments.speed.gpu.{name}")


def measured(gpu, folder, plan=TINY, **options):
    gpu("records").start(folder)
    side = gpu("side")
    side.measure("jax", gpu("jax_side"), plan, folder, **options)
    names = ("checks", "times")
    return {name: files.read_csv(folder / f"{name}.csv") for name in names}


def test_every_case_is_checked_and_timed(gpu, tmp_path):
    found = measured(gpu, tmp_path)
    # Two forms, two offsets, three passes.
    assert [row["verdict"] for row in found["checks"]] == ["right"] * 12
    assert [row["note"] for row in found["times"]] == [""] * len(found["times"])
    names = {(row["name"], row["pass"]) for row in found["times"]}
    assert {n for n, _ in names} == {*cases.NAMES["jax"], "copy"}
    assert len(names) == 3 * len(cases.NAMES["jax"]) + 2  # dx copies as the gradient
    assert gpu("table").wrong(tmp_path) == []
    page = (tmp_path / "table.md").read_text()
    assert "Nothing is wrong." in page
    assert "- jax, tokens" not in page.partition("## Not measured")[2]
    gpu("picture").write(tmp_path)
    assert (tmp_path / "times.png").stat().st_size > 10_000


def test_what_is_wrong_is_told_and_the_rest_goes_on(gpu, tmp_path, monkeypatch):
    kernel = importlib.import_module("lng_keras.kernels.jax.triton").Kernel

    def refuse(*_):
        raise RuntimeError("no such instruction\nand a long dump")

    monkeypatch.setattr(kernel, "forward", refuse)
    monkeypatch.setattr(cases, "BOUNDS", {"float32": 1e-12})
    # Of another shape than above, whose programs JAX has.
    found = measured(gpu, tmp_path, replace(TINY, checked=(3, 9)), until=0.0)
    verdicts = [(r["form"], r["pass"], r["verdict"]) for r in found["checks"]]
    # Without a forward pass none of the kernel's programs can be lowered.
    assert ("triton", "forward", "RuntimeError: no such instruction") in verdicts
    assert ("auto", "forward", "wrong") in verdicts
    assert found["times"] == []
    wrong = gpu("table").wrong(tmp_path)
    assert len(wrong) == 12
    page = (tmp_path / "table.md").read_text()
    assert all(f"- {line}" in page for line in wrong)
    names = "; ".join(cases.NAMES["jax"])
    assert f"- jax, tokens, float32, groups of 3: {names}\n" in page


def test_machine_without_a_gpu_is_told(gpu, tmp_path, monkeypatch, capsys):
    given = ["--framework=jax", f"--output={tmp_path}", "--until=0"]
    monkeypatch.setattr(sys, "argv", ["side", *given])
    with pytest.raises(SystemExit) as stop:
        gpu("side").main()
    assert stop.value.code == 2
    assert "jax sees no GPU; --rehearse needs none" in capsys.readouterr().err


def test_the_program_itself_imports_no_backend():
    # On the machine of a GPU the default backend may not be installed.
    program = (
        "import sys; sys.modules['keras'] = None; import experiments.speed.gpu.__main__"
    )
    subprocess.run([sys.executable, "-c", program], check=True, cwd=ROOT)
