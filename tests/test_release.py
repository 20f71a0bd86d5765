"""What is released: a wheel and an sdist that work in an empty folder, and a command that shells complete."""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from itertools import chain
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

import sentilora

ROOT = Path(__file__).resolve().parents[1]
CONSTRAINTS = ROOT / "constraints" / f"python{sys.version_info[0]}.{sys.version_info[1]}.txt"


def test_each_python_that_is_offered_has_its_pins() -> None:
    """What pip accepts, what the index shows and what is pinned are the same Pythons; no dependency lacks a pin."""
    project = pytest.importorskip("tomllib").loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    pinned = {path.stem[len("python") :]: path.read_text("utf-8") for path in (ROOT / "constraints").glob("*.txt")}
    minors = [f"3.{minor}" for minor in range(30)]
    assert set(pinned) == set(SpecifierSet(project["requires-python"]).filter(minors))
    assert set(pinned) == {each.rpartition(" ")[2] for each in project["classifiers"] if " :: 3." in each}
    needed = [*project["dependencies"], *chain(*project["optional-dependencies"].values())]
    for python, pins in pinned.items():
        versions = dict(line.split("==") for line in pins.splitlines() if "==" in line)
        for requirement in map(Requirement, needed):
            if requirement.marker is None or requirement.marker.evaluate({"python_version": python}):
                version = versions[canonicalize_name(requirement.name)]
                assert requirement.specifier.contains(version), f"Python {python}: {requirement} and {version}"


def run(*command: object, folder: Path, **variables: str) -> str:
    environment = {**os.environ, **variables}
    environment.pop("PYTHONPATH", None)  # which would bring the checkout back
    process = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert process.returncode == 0, process.stdout + process.stderr
    return process.stdout


@pytest.mark.parametrize(("shell", "asked"), [("bash", "COMP_CWORD"), ("zsh", "COMP_CWORD"), ("fish", "COMP_CWORD")])
def test_shells_complete_the_command(shell: str, asked: str, tmp_path: Path) -> None:
    command = Path(sysconfig.get_path("scripts")) / "sentilora"
    environment = {**os.environ, "_SENTILORA_COMPLETE": f"{shell}_source"}
    source = subprocess.run([command], capture_output=True, text=True, check=False, env=environment)
    assert asked in source.stdout, source.stderr
    environment = {
        **os.environ,
        "_SENTILORA_COMPLETE": f"{shell}_complete",
        "COMP_WORDS": "sentilora ev",
        "COMP_CWORD": "ev" if shell == "fish" else "1",
    }
    offered = subprocess.run([command], capture_output=True, text=True, check=False, env=environment)
    assert "evaluate" in offered.stdout, offered.stderr


@pytest.fixture(scope="module")
def released(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the sdist, and the wheel that was made from it."""
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, folder=folder)
    return folder


def new_environment(folder: Path) -> Path:
    run(sys.executable, "-m", "venv", folder, folder=folder.parent)
    return folder / "bin" / "python"


@pytest.mark.slow
def test_the_wheel_and_the_sdist_hold_what_they_should(released: Path) -> None:
    (wheel,), (sdist,) = released.glob("*.whl"), released.glob("*.tar.gz")
    assert wheel.name == f"sentilora-{sentilora.__version__}-py3-none-any.whl"
    assert sdist.name == f"sentilora-{sentilora.__version__}.tar.gz"
    packed = set(zipfile.ZipFile(wheel).namelist())
    package = ROOT / "src" / "sentilora"
    ours = {
        f"sentilora/{path.relative_to(package).as_posix()}"
        for path in package.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert "sentilora/py.typed" in ours
    assert {name for name in packed if ".dist-info/" not in name} == ours
    with tarfile.open(sdist) as archive:
        top = {name.split("/")[1] for name in archive.getnames() if "/" in name}
    assert {"src", "pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "PKG-INFO"} >= top - {".gitignore"}


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_the_core_works_where_it_alone_is_installed(kind: str, released: Path, tmp_path: Path) -> None:
    (package,) = released.glob(kind)
    python = new_environment(tmp_path / "fresh")
    run(python, "-m", "pip", "install", "--quiet", "--constraint", CONSTRAINTS, package, folder=tmp_path)
    command = tmp_path / "fresh" / "bin" / "sentilora"
    assert run(command, "--version", folder=tmp_path) == f"sentilora, version {sentilora.__version__}\n"
    assert "quickstart" in run(command, "recipes", folder=tmp_path)
    run(python, ROOT / "tests" / "bare" / "check.py", folder=tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["*.whl", "*.tar.gz"])
def test_the_quickstart_runs_in_an_empty_folder(kind: str, released: Path, tmp_path: Path) -> None:
    """The package is installed anew; PyTorch and the rest, which are no part of it, are those of this environment."""
    (package,) = released.glob(kind)
    python = new_environment(tmp_path / "fresh")
    run(python, "-m", "pip", "install", "--quiet", "--no-deps", package, folder=tmp_path)
    library = Path(run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=tmp_path).strip())
    (library / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n", "utf-8")
    empty = tmp_path / "empty"
    empty.mkdir()
    where = run(python, "-c", "import sentilora; print(sentilora.__file__)", folder=empty)
    assert Path(where.strip()).is_relative_to(tmp_path)
    printed = run(tmp_path / "fresh" / "bin" / "sentilora", "quickstart", "Lovely.", folder=empty, HF_HUB_OFFLINE="1")
    assert "Done in" in printed
    assert (empty / "runs" / "quickstart" / "merged" / "model.safetensors").is_file()
