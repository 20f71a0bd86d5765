"""The documentation cannot drift: generated pages are current, and what the README shows works."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import sentilora

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text("utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, flags=re.M | re.S)


def test_generated_pages_are_current() -> None:
    command = [sys.executable, ROOT / "scripts" / "generate_docs.py", "--check"]
    checked = subprocess.run(command, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


def test_links_lead_somewhere() -> None:
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#]+)", page.read_text("utf-8")):
            if not target.startswith("http"):
                assert (page.parent / target).exists(), f"{page}: {target}"


def test_the_readmes_commands_run(run: sentilora.Run, reviews_csv: Path, tmp_path: Path) -> None:
    """Every command of the `sh` blocks but the set-up, on the reader's own file, in order, in an empty folder."""
    (tmp_path / "reviews.csv").write_bytes(reviews_csv.read_bytes())
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    commands = [line for line in lines if line.startswith(("sentilora", "cat"))]
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
