"""The notebook runs as it is, and is kept without what it printed."""

from __future__ import annotations

from pathlib import Path

import pytest
from installing import REPOSITORY

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")

NOTEBOOKS = sorted((REPOSITORY / "notebooks").glob("*.ipynb"))


def read(notebook: Path):
    found = nbformat.read(notebook, as_version=4)
    nbformat.validate(found)
    return found


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_is_kept_without_outputs(notebook: Path) -> None:
    cells = [cell for cell in read(notebook).cells if cell.cell_type == "code"]
    assert cells
    assert all(not cell.outputs and cell.execution_count is None for cell in cells)


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # those of Jupyter's own are not ours to mend
@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_runs(notebook: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(REPOSITORY), prepend=":")
    client = nbclient.NotebookClient(
        read(notebook), timeout=120, resources={"metadata": {"path": str(tmp_path)}}
    )
    played = client.execute()
    printed = "".join(
        output.get("text", "") for cell in played.cells for output in cell.get("outputs", ())
    )
    assert "1.5 | " in printed  # the episode played by hand: right, and well formed
    assert len(list((tmp_path / "runs" / "quickstart").rglob("result.json"))) == 4
    pictures = [o for cell in played.cells for o in cell.get("outputs", ()) if "data" in o]
    assert any("image/png" in output.data for output in pictures)
