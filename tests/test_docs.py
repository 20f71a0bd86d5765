"""The documentation cannot drift: generated pages are current, and what the README shows works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import sentilora
from sentilora.tables import LabelledTexts

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")
FORMATS = (ROOT / "docs" / "formats.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


def test_generated_pages_are_current() -> None:
    command = [sys.executable, ROOT / "scripts" / "generate_docs.py", "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_every_dependency_has_its_reason() -> None:
    project = pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    reasons = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    for requirement in [*project["dependencies"], *chain(*project["optional-dependencies"].values())]:
        name = re.escape(Requirement(requirement).name)
        assert re.search(rf"(?<![\w-]){name}(?![\w-])", reasons), f"docs/dependencies.md does not say why {requirement}"


def contents(heading: str) -> set[str]:
    """What lies in a folder, as docs/formats.md lists it."""
    section = FORMATS.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return {re.split("[/`]", row)[0] for row in re.findall(r"^\| `(.+)", section, flags=re.M)}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_folders_hold_what_the_formats_page_lists(
    run: sentilora.Run, bundle: Path, tiny_base: Path, reviews: LabelledTexts, tmp_path: Path
) -> None:
    assert names(run.folder) == contents("A run")
    assert names(bundle) | {"adapters"} == contents("A bundle")  # those of several adapters have this one
    base = sentilora.pretrain(reviews.texts[:40], base=str(tiny_base), max_steps=1, output=tmp_path / "base").folder
    assert names(base) == contents("A pretrained base")


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_readmes_commands_run(run: sentilora.Run, reviews_csv: Path, tmp_path: Path) -> None:
    """Every command of the `sh` blocks but the set-up, on the reader's own files, in order, in an empty folder."""
    for name in ("reviews.csv", "unlabelled.csv"):
        (tmp_path / name).write_bytes(reviews_csv.read_bytes())
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith("sentilora")]
    assert len(commands) >= 5
    script = "set -euo pipefail\n" + "\n".join(commands)
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    result = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, cwd=tmp_path, env=environment, check=False, timeout=550
    )
    assert result.returncode == 0, result.stderr


def test_the_readmes_python_runs(reviews_csv: Path, tmp_path: Path) -> None:
    (tmp_path / "reviews.csv").write_bytes(reviews_csv.read_bytes())
    source = "\n".join(blocks("python"))
    result = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, cwd=tmp_path, check=False, timeout=550
    )
    assert result.returncode == 0, result.stderr
