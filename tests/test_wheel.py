"""What people install: a wheel that holds every file the package opens, and none of the tests."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytest.importorskip("hatchling")
ROOT = Path(__file__).resolve().parents[1]
SOURCE = ROOT / "src" / "sentilora"


def test_the_wheel_holds_every_file_of_the_package(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=120)
    [wheel] = tmp_path.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in SOURCE.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert {f"sentilora/{path.relative_to(SOURCE).as_posix()}" for path in files} <= held
    for name in ("serving/page/page.html", "serving/page/page.js", "serving/page/page.css", "py.typed"):
        assert f"sentilora/{name}" in held
    assert not [name for name in held if not name.startswith(("sentilora/", "sentilora-"))]
