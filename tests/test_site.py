"""The documentation builds as a site without a warning: no page, heading or name that is linked to is missing."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import sentilora

pytest.importorskip("sphinx", reason="the extra `docs` has Sphinx on Python 3.11 and later")

ROOT = Path(__file__).resolve().parents[1]


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "--builder", "dirhtml", "--fail-on-warning", "--keep-going", "--quiet"]
    built = subprocess.run(
        [*command, "--doctree-dir", tmp_path / "doctrees", ROOT / "docs", tmp_path / "site"],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert built.returncode == 0, built.stderr
    reference = (tmp_path / "site" / "python-api" / "index.html").read_text("utf-8")
    public = {f"sentilora.{name}" for name in sentilora.__all__ if not name.startswith("_")}
    for name in (*sorted(public), "sentilora.Classifier.load", "sentilora.export.export"):
        assert f'id="{name}"' in reference, f"docs/python-api.md lacks {name}"
