"""The notebooks run from top to bottom on the embedded base, with parameters that take seconds."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"


def run_notebook(name: str, parameters: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> nbformat.NotebookNode:
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    for cell in notebook.cells:
        assert not cell.get("outputs"), "commit the notebook without outputs"
    chosen = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    chosen.source += f"\n{parameters}\n"
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    NotebookClient(notebook, timeout=500, kernel_name="python3", resources={"metadata": {"path": folder}}).execute()
    return notebook


def shown(notebook: nbformat.NotebookNode, kind: str) -> list[str]:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


def printed(notebook: nbformat.NotebookNode) -> str:
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


def test_fine_tuning_film_reviews(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = """BASE, DATA, LIMIT, EPOCHS, MAX_LENGTH = "embedded", "bundled", 300, 2, 32
TEST_LIMIT, LEARNING_RATE = 60, 3e-3"""
    notebook = run_notebook("finetune_imdb.ipynb", parameters, tmp_path, monkeypatch)
    assert (tmp_path / "saved_model" / "model.safetensors").is_file()
    assert len(shown(notebook, "image/png")) == 2
    page = "".join(shown(notebook, "text/html"))
    assert "<svg" in page
    assert "p_positive" in page
    if (tmp_path / "bundle").is_dir():  # which the gate may refuse to so small a training
        assert "http://127.0.0.1:" in page


def test_adapting_a_domain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = "MINUTES, LABELS, EPOCHS, MAX_LENGTH = 0.05, 80, 1, 32"
    notebook = run_notebook("adapt_your_domain.ipynb", parameters, tmp_path, monkeypatch)
    assert (tmp_path / "bases" / "mine" / "pretraining.json").is_file()
    assert (tmp_path / "scored.csv").is_file()
    assert "are planned as" in printed(notebook)
    assert "pretrained: accuracy" in printed(notebook)
