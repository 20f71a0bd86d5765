"""The steps of the Dockerfile taken in a bare environment, as no Docker engine runs where these tests do."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from sentilora.cli.app import cli

ROOT = Path(__file__).resolve().parents[1]


def instructions() -> list[tuple[str, str]]:
    lines = [line for line in (ROOT / "Dockerfile").read_text("utf-8").splitlines() if not line.startswith("#")]
    joined = "\n".join(lines).replace("\\\n", " ").splitlines()
    return [(name, rest) for name, _, rest in (line.partition(" ") for line in joined if line)]


def the(name: str) -> str:
    return [rest for each, rest in instructions() if each == name][-1]


def context(folder: Path) -> Path:
    """What the build sees: that which .dockerignore lets through."""
    first, *kept = (ROOT / ".dockerignore").read_text("utf-8").split()
    assert first == "*"
    for name in kept:
        source = ROOT / name[1:]
        copy = shutil.copytree if source.is_dir() else shutil.copy2
        copy(source, folder / name[1:])
    return folder


def test_who_runs_and_where_it_listens() -> None:
    names = [name for name, _ in instructions()]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert the("USER") not in ("root", "0")
    (port,) = (parameter for parameter in cli.commands["serve"].params if parameter.name == "port")
    assert the("EXPOSE") == str(port.default)
    assert f":{port.default}/ready" in the("HEALTHCHECK")


@pytest.mark.slow
def test_its_steps_give_a_server_without_pytorch(bundle: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    (tmp_path / "src").mkdir()
    places = {"/wheels": tmp_path / "wheels", "/src": context(tmp_path / "src"), "/bundle": bundle}
    environment = {"HOME": str(tmp_path), "PATH": f"{tmp_path / 'venv/bin'}:/usr/bin:/bin"}
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}

    def here(argument: str) -> str:
        for name, place in places.items():
            if argument == name or argument.startswith(f"{name}["):
                return argument.replace(name, str(place), 1)
        return argument

    steps = [rest.split("&&")[0] for name, rest in instructions() if name == "RUN"]
    assert len(steps) == 2
    for step in steps:
        command = [here(part) for part in shlex.split(step) if not part.startswith("--mount")]
        subprocess.run(command, check=True, env={**environment, **pip}, stdout=subprocess.DEVNULL)
    assert not list((tmp_path / "venv").rglob("torch"))

    command = [*json.loads(the("ENTRYPOINT")), *(here(part) for part in json.loads(the("CMD"))), "--port", port]
    server = subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)
    try:
        checked = json.loads(the("HEALTHCHECK").partition("CMD ")[2].replace("8000", port))
        deadline = time.monotonic() + 60
        while subprocess.run(checked, env=environment, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            assert time.monotonic() < deadline
            assert server.poll() is None
        asked = httpx.post(f"http://127.0.0.1:{port}/v1/predict", json={"texts": ["A gorgeous, moving film."]})
        assert asked.status_code == 200
    finally:
        server.terminate()
        assert server.wait(60) == 0
