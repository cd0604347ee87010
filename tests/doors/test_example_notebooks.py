"""examples/quickstart.ipynb and colab_tpu.ipynb run from the first cell to the last."""

import json
import pathlib

import pytest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
# What stands in on a CPU for the cells of colab_tpu.ipynb with these tags.
ON_CPU = {
    "tpu-install": "",
    "tpu-drive": "import tempfile\nfolder = tempfile.mkdtemp() + '/run'",
    "tpu-settings": """
batch_size = 8 * cores
flags = [
    "--distribute=data", "--mixed_precision=bfloat16", "--model=vit", "--depth=1",
    "--width=16", "--norm=lng", "--train_examples=160", f"--batch_size={batch_size}",
    "--steps_per_execution=2", "--epochs=2",
]
""",
}


def execute(name, monkeypatch, stand_ins=None):
    """Runs a notebook; returns it with its outputs."""
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    for cell in notebook.cells:
        for tag in cell.metadata.get("tags", ()):
            cell.source = stand_ins[tag]
    root = EXAMPLES.parent
    monkeypatch.setenv("PYTHONPATH", str(root))
    nbclient.NotebookClient(
        notebook, timeout=900, resources={"metadata": {"path": str(root)}}
    ).execute()
    return notebook


def texts(notebook):
    """What each cell printed or showed as plain text, by position."""
    return [
        "".join(
            output.get("text", "") + output.get("data", {}).get("text/plain", "")
            for output in cell.get("outputs", ())
        )
        for cell in notebook.cells
    ]


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_quickstart_runs(monkeypatch):
    shown = texts(execute("quickstart.ipynb", monkeypatch))
    assert abs(float(shown[3])) < 1e-4  # one group is LayerNormalization
    losses = eval(shown[6])
    linear, _, grouped = losses.values()
    assert grouped < 0.5 * linear
    assert any("Test accuracy" in text for text in shown)


@pytest.mark.slow
@pytest.mark.only("jax", reason="a notebook for JAX")
@pytest.mark.filterwarnings("ignore")
def test_colab_notebook_runs_on_a_cpu_with_the_tpu_cells_swapped(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    notebook = execute("colab_tpu.ipynb", monkeypatch, ON_CPU)
    shown = "\n".join(texts(notebook))
    assert "jax 2 x" in shown
    assert "['cpu:cpu', 'cpu:cpu']" in shown
    assert "images_per_second" in shown
    tags = [tag for cell in notebook.cells for tag in cell.metadata.get("tags", ())]
    assert tags == list(ON_CPU)


def test_the_colab_flags_are_flags_of_train():
    from zoo.training import flags

    cells = json.loads((EXAMPLES / "colab_tpu.ipynb").read_text())["cells"]
    [cell] = [c for c in cells if "tpu-settings" in c["metadata"].get("tags", ())]
    names = {"cores": 8}
    exec("".join(cell["source"]), names)
    settings, _ = flags.parse(["train.py", *names["flags"]])
    assert settings.distribute == "tpu"
    assert settings.batch_size % 64 == 0


@pytest.mark.parametrize("name", ["quickstart.ipynb", "colab_tpu.ipynb"])
def test_the_notebooks_are_stored_without_outputs(name):
    cells = json.loads((EXAMPLES / name).read_text())["cells"]
    assert all(not cell.get("outputs") for cell in cells)
