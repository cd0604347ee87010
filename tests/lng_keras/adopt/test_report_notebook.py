"""examples/adopt.ipynb runs from the first cell to the last."""

import json
import pathlib

import pytest

NOTEBOOK = pathlib.Path(__file__).parents[3] / "examples" / "adopt.ipynb"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_the_notebook_runs(monkeypatch):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    root = NOTEBOOK.parent.parent
    monkeypatch.setenv("PYTHONPATH", str(root))
    nbclient.NotebookClient(
        notebook, timeout=900, resources={"metadata": {"path": str(root)}}
    ).execute()
    shown = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", ())
        if output.output_type in ("execute_result", "display_data")
    ]
    pages = [output.data.get("text/html", "") for output in shown]
    assert any("5 replaced" in page for page in pages)
    assert any("LN-G 8" in page for page in pages)
    assert any(page.startswith("<iframe srcdoc=") for page in pages)
    assert any(output.data.get("text/plain") == "True" for output in shown)


def test_the_notebook_is_stored_without_outputs():
    cells = json.loads(NOTEBOOK.read_text())["cells"]
    assert all(not cell.get("outputs") for cell in cells)
