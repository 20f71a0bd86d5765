"""The notebooks run from top to bottom, with parameters that take seconds, and on a file of one's own."""

from __future__ import annotations

import contextlib
import csv
import re
from collections.abc import Iterator
from importlib.metadata import metadata
from pathlib import Path
from typing import Callable

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from packaging.requirements import Requirement

import sentilora
from sentilora.tables import LabelledTexts

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
Cells = list[nbformat.NotebookNode]


def opened(name: str, parameters: str = "") -> nbformat.NotebookNode:
    """A notebook with other parameters."""
    notebook = nbformat.read(NOTEBOOKS / name, as_version=4)
    chosen = next(cell for cell in notebook.cells if "parameters" in cell.metadata.get("tags", []))
    chosen.source += f"\n{parameters}\n"
    return notebook


@contextlib.contextmanager
def kernel(notebook: nbformat.NotebookNode, folder: Path) -> Iterator[Callable[[Cells], None]]:
    """What runs some of a notebook's cells, one after another, in a kernel that lives as long as this does."""
    resources = {"metadata": {"path": folder}}
    client = NotebookClient(notebook, timeout=500, kernel_name="python3", resources=resources)

    def run(cells: Cells) -> None:
        for cell in cells:
            client.execute_cell(cell, notebook.cells.index(cell))

    with pytest.MonkeyPatch.context() as patch, client.setup_kernel():
        patch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
        yield run


def run_notebook(name: str, parameters: str, folder: Path) -> nbformat.NotebookNode:
    notebook = opened(name, parameters)
    with kernel(notebook, folder) as run:
        run(notebook.cells)
    return notebook


def cells_from(notebook: nbformat.NotebookNode, heading: str, until: str = "") -> Cells:
    """The cells of a section and of those below it, but for what begins with `until`."""
    begins = [cell.source.splitlines()[0] for cell in notebook.cells]
    return notebook.cells[begins.index(heading) : begins.index(until) if until else None]


def shown(cells: Cells, kind: str) -> list[str]:
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return [output["data"][kind] for output in outputs if kind in output.get("data", {})]


def printed(cells: Cells) -> str:
    outputs = [output for cell in cells for output in cell.get("outputs", [])]
    return "".join(output.get("text", "") for output in outputs)


@pytest.mark.parametrize("name", [path.name for path in sorted(NOTEBOOKS.glob("*.ipynb"))])
def test_what_is_kept_and_what_is_installed(name: str) -> None:
    notebook = opened(name)
    for cell in notebook.cells:
        assert not cell.get("outputs"), "commit the notebook without outputs"
    source = "\n".join(cell.source for cell in notebook.cells)
    repository = re.search(r"colab\.research\.google\.com/github/([\w-]+/[\w-]+)/blob/main/notebooks/(\S+?)\)", source)
    assert repository is not None
    assert repository[2] == name
    installed = re.search(r'%pip install .*--constraint keep\.txt "(.+?)"', source)
    assert installed is not None
    requirement = Requirement(installed[1])
    assert requirement.url == f"git+https://github.com/{repository[1]}"
    assert requirement.extras <= set(metadata("sentilora").get_all("Provides-Extra"))


def test_fine_tuning_film_reviews(tmp_path: Path, reviews: LabelledTexts) -> None:
    with (tmp_path / "sorted.csv").open("w", newline="", encoding="utf-8") as file:  # by label, as IMDb is
        rows = sorted(zip(reviews.labels.tolist(), reviews.texts))
        csv.writer(file).writerows([("label", "text"), *rows])
    parameters = """BASE, DATA, LIMIT, EPOCHS, MAX_LENGTH = "embedded", "sorted.csv", 300, 2, 32
TEST, TEST_LIMIT, LEARNING_RATE = "bundled:test", 60, 3e-3"""
    notebook = run_notebook("finetune_imdb.ipynb", parameters, tmp_path)
    assert (tmp_path / "saved_model" / "model.safetensors").is_file()
    assert {"negative |", "positive |"} <= set(re.findall(r"^\w+ \|", printed(notebook.cells), re.MULTILINE))
    assert "60 texts (30 negative, 30 positive) from the bundled reviews (test)" in printed(notebook.cells)
    assert len(shown(notebook.cells, "image/png")) == 2
    page = "".join(shown(notebook.cells, "text/html"))
    assert "<svg" in page
    assert "p_positive" in page
    live = cells_from(notebook, "## Try it live")
    assert "Open the page" in "".join(shown(live, "text/html")) or "No page" in printed(live)
    assert "acting" in "".join(shown(live, "text/html"))


def test_film_reviews_are_tested_on_film_reviews() -> None:
    chosen: dict[str, object] = {}
    exec(next(cell for cell in opened("finetune_imdb.ipynb").cells if "tags" in cell.metadata).source, chosen)
    assert (chosen["DATA"], chosen["TEST"]) == ("imdb", "imdb:test")


def test_without_a_bundle_the_run_answers_in_the_notebook(tmp_path: Path, run: sentilora.Run) -> None:
    notebook = opened("finetune_imdb.ipynb")
    live = cells_from(notebook, "## Try it live")
    beginning = nbformat.v4.new_code_cell(
        f"from pathlib import Path\nimport sentilora\nmodel = {str(run.folder)!r}\n"
        "classifier = sentilora.Classifier.load(model)"
    )
    notebook.cells = [beginning, *live]
    with kernel(notebook, tmp_path) as execute:
        execute(notebook.cells)
    assert "the export was refused" in printed(live)
    assert "acting" in "".join(shown(live, "text/html"))


def test_adapting_a_domain(tmp_path: Path) -> None:
    parameters = "MINUTES, LABELS, MORE, EPOCHS, MAX_LENGTH = 0.05, 80, 20, 1, 32"
    notebook = run_notebook("adapt_your_domain.ipynb", parameters, tmp_path)
    assert (tmp_path / "bases" / "mine" / "pretraining.json").is_file()
    assert (tmp_path / "scored.csv").is_file()
    assert "are planned as" in printed(notebook.cells)
    assert "pretrained: accuracy" in printed(notebook.cells)
    first, more = (rows_of(tmp_path / f"bundled_reviews_to_label_{number}.csv") for number in (1, 2))
    assert (len(first), len(more)) == (80, 20)
    assert not {row["text"] for row in first} & {row["text"] for row in more}
    assert "least sure of" in printed(cells_from(notebook, "## Pick what to label next"))


def test_adapting_to_a_file_of_ones_own(tmp_path: Path, tiny_base: Path, reviews: LabelledTexts) -> None:
    texts = dict(zip(reviews.texts[:90], reviews.labels[:90]))
    with (tmp_path / "remarks.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([("remark",), *([text] for text in texts)])
    parameters = f"""UNLABELLED, TEXT_COLUMN, BASE, MINUTES = "remarks.csv", "remark", {str(tiny_base)!r}, 0.05
LABELS, EPOCHS, MAX_LENGTH = 300, 1, 32"""
    notebook = opened("adapt_your_domain.ipynb", parameters)
    with kernel(notebook, tmp_path) as run:
        with pytest.raises(CellExecutionError) as stopped:
            run(notebook.cells)
        assert stopped.value.ename == "SystemExit"
        assert re.fullmatch(r"remarks_to_label_1\.csv has no labels yet: .+ run this cell again", stopped.value.evalue)

        file = tmp_path / "remarks_to_label_1.csv"
        rows = rows_of(file)
        assert {row["text"] for row in rows} <= set(texts)
        for row in rows[5:]:  # the others are neither
            row["label"] = ("negative", "positive")[texts[row["text"]]]
        with file.open("w", newline="", encoding="utf-8-sig") as sheet:  # as a spreadsheet saves it in some countries
            writer = csv.DictWriter(sheet, list(rows[0]), delimiter=";")
            writer.writeheader()
            writer.writerows(rows)
        labelled = file.read_bytes()

        run(cells_from(notebook, "## Pick what to label"))
    assert file.read_bytes() == labelled
    assert "is there already, and is kept" in printed(cells_from(notebook, "## Pick what to label", "## Label"))
    assert len([row for row in rows_of(tmp_path / "labelled.csv") if row["label"]]) == len(rows) - 5
    assert "already: name other texts" in printed(cells_from(notebook, "## Pick what to label next"))
    assert len(rows_of(tmp_path / "scored.csv")) == len(texts)


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
