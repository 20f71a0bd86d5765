"""The pages of docs/ cannot drift: what they show is run, each in a folder with what the page says is there."""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import sentilora
from sentilora.export import export

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGES = {str(path.relative_to(DOCS)): path.read_text("utf-8") for path in sorted(DOCS.rglob("*.md"))}
TUTORIAL = "tutorial.md"

RUN = ("sh", "python")
SHOWN = ("text", "yaml", "json", "{toctree}", "{eval-rst}")
BLOCK = re.compile(r"^(?:<!-- not run: (?P<reason>[^\n]+) -->\n)?```(?P<language>\S*)\n(?P<code>.*?)^```$", re.M | re.S)

# What takes a reader's minutes takes seconds on less.
LESS = {
    "train --recipe quickstart": "train --recipe quickstart --limit 1600 --max-length 64",
    "--epochs 5 --minutes 10": "--max-steps 3",
}


@dataclass(frozen=True)
class Block:
    language: str
    code: str
    reason: str

    @property
    def runs(self) -> bool:
        return self.language in RUN and not self.reason


def blocks(page: str) -> list[Block]:
    return [Block(each["language"], each["code"], each["reason"] or "") for each in BLOCK.finditer(PAGES[page])]


def script(page: str) -> str:
    """The page's blocks as one script for bash."""
    parts = [
        block.code if block.language == "sh" else f"python - <<'END_OF_PYTHON'\n{block.code}END_OF_PYTHON\n"
        for block in blocks(page)
        if block.runs
    ]
    return "set -euo pipefail\n" + "\n".join(parts)


def run_page(page: str, folder: Path, **replaced: str) -> str:
    """Run a page in a folder and return what it printed."""
    code = script(page)
    for shown, taken in {**LESS, **replaced}.items():
        code = code.replace(shown, taken)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("SENTILORA_API_KEYS", None)
    environment["RAY_USAGE_STATS_ENABLED"] = "0"
    log = folder / "printed.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(
            ["bash", "-c", code],
            stdout=sink,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environment,
            start_new_session=True,
        )
        try:
            process.wait(timeout=900)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)  # with what it put in the background
            process.wait()
    printed = log.read_text("utf-8", "replace")
    assert process.returncode == 0, printed[-4000:]
    return printed


def test_every_block_is_run_or_says_why_not() -> None:
    for page, text in PAGES.items():
        fences = re.findall(r"^```\S+$", text, re.M)
        found = blocks(page)
        assert len(found) == len(fences), f"{page}: a code block without a language, or without an end"
        for block in found:
            assert block.language in (*RUN, *SHOWN), f"{page}: {block.language} is neither run nor known: {block.code}"
            assert not block.reason or block.language in RUN, f"{page}: nobody would run {block.code}"


@pytest.fixture(scope="session")
def shop(run: sentilora.Run, sure_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with two adapters, past a gate that a tiny random model would not pass."""
    runs = tmp_path_factory.mktemp("runs")
    folders = [shutil.copytree(run.folder, runs / name) for name in ("mine", "books")]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.2)
        patch.setattr("sentilora.export.gate.LABELS_CHANGED", 0.2)
        return export(folders, tmp_path_factory.mktemp("bundles") / "shop", unlabelled=sure_texts).folder


@pytest.mark.parametrize("page", [page for page in PAGES if page != TUTORIAL and any(b.runs for b in blocks(page))])
def test_a_page_runs(
    page: str, run: sentilora.Run, bundle: Path, shop: Path, tiny_base: Path, reviews_csv: Path, tmp_path: Path
) -> None:
    shutil.copytree(bundle, tmp_path / "bundle")
    shutil.copytree(shop, tmp_path / "shop")
    shutil.copytree(run.folder, tmp_path / "runs" / "mine")
    shutil.copy(reviews_csv, tmp_path / "reviews.csv")
    tiny = {"--base embedded": f"--base {tiny_base}", "--precision 0.9": "--precision 0.1"}  # it can but guess
    run_page(page, tmp_path, **tiny, **{"8000": free_port()})


@pytest.mark.slow
def test_the_tutorial_makes_what_it_says(tmp_path: Path) -> None:
    printed = run_page(TUTORIAL, tmp_path)
    for made in ("report.html", "runs/first/adapter", "runs/shop/adapter"):
        assert (tmp_path / made).exists(), f"{made}: {printed[-4000:]}"
    assert len((tmp_path / "scored.csv").read_text("utf-8").splitlines()) == 13
    assert "p_positive" in printed


def free_port() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return str(listener.getsockname()[1])
