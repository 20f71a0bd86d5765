"""The page that a notebook opens, from its link to an answer, in a real headless Chromium."""

# ruff: noqa: F401 - fixtures of other modules
from __future__ import annotations

import re
import shutil
import socket
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import nbformat
import pytest

from browser import chromium, write
from test_notebooks import cells_from, kernel, opened, shown

pytestmark = pytest.mark.browser


def test_the_link_of_a_notebook_opens_a_page_that_answers(
    tmp_path: Path, bundle: Path, request: pytest.FixtureRequest
) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    notebook = opened("finetune_imdb.ipynb")
    live = cells_from(notebook, "## Try it live")
    beginning = nbformat.v4.new_code_cell(
        'from pathlib import Path\nimport sentilora\nmodel = "bundle"\nclassifier = sentilora.Classifier.load(model)'
    )
    notebook.cells = [beginning, *live]
    with kernel(notebook, tmp_path) as execute:
        execute(notebook.cells)
        output = "".join(shown(live, "text/html"))
        address = visit(request.getfixturevalue("chromium"), output)
    assert ends(address.hostname, address.port), "the server outlives the notebook"


def visit(browser: Any, output: str) -> Any:
    """Click the link in a cell's output, and have the page that opens classify a text; the page's address."""
    page = browser.new_page()
    page.set_content(output)
    with page.expect_popup() as popup:
        page.click("text=Open the page")
    write(popup.value, "A gorgeous, moving film.")
    assert re.search("positive|negative", popup.value.inner_text(".answer"))
    address = urlsplit(popup.value.url)
    page.close()
    return address


def ends(host: str, port: int) -> bool:
    """Whether nobody listens there any more, soon."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex((host, port)):
                return True
        time.sleep(0.1)
    return False
