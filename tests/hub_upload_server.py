"""The stand-in of the Hub's HTTP API that can be written to as well: repositories, LFS objects and commits."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from hub_server import StandIn, _Handler, running

LARGE = (".safetensors", ".onnx")
TOKEN = "hf_a_token_that_nobody_may_print"


class WritableStandIn(StandIn):
    """Takes what is pushed with `TOKEN`, one folder below `folder` a repository and branch, and serves it."""

    def __init__(self, folder: Path) -> None:
        super().__init__({})
        self.RequestHandlerClass = _WritableHandler
        self.folder = folder
        self.private: set[str] = set()
        self.objects: dict[str, bytes] = {}
        self.commits: list[str] = []
        self.refusals: dict[str, int] = {}

    def branch(self, repository: str, revision: str = "main") -> Path:
        return self.folder / repository / revision


class _WritableHandler(_Handler):
    server: WritableStandIn

    def do_POST(self) -> None:  # noqa: N802 - as http.server calls it
        path = unquote(self.path.partition("?")[0])
        self.server.requests.append(f"POST {path}")
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        status, body = self._write(path, content)
        self._reply(status, json.dumps(body).encode())

    def do_PUT(self) -> None:  # noqa: N802
        self.server.requests.append(f"PUT {self.path}")
        self.server.objects[self.path.rpartition("/")[2]] = self.rfile.read(int(self.headers["Content-Length"]))
        self._reply(200, b"")

    def _reply(self, status: int, content: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def _write(self, path: str, content: bytes) -> tuple[int, Any]:
        if path != "/api/validate-yaml" and self.headers.get("Authorization") != f"Bearer {TOKEN}":
            return 401, {"error": "Invalid username or password."}
        for part, status in self.server.refusals.items():
            if part in path:
                return status, {"error": "The stand-in refuses this."}
        if "/commit/" in path:
            return self._commit(path, [json.loads(line) for line in content.splitlines()])
        asked = json.loads(content)
        doors: dict[str, Callable[[], tuple[int, Any]]] = {
            "/validate-yaml": lambda: (200, {"errors": [], "warnings": []}),
            "/repos/create": lambda: self._create(asked),
            "/branch/": lambda: self._branch(path),
            "/preupload/": lambda: self._modes(path, asked["files"]),
            "/lfs/objects/batch": lambda: self._batch(asked["objects"]),
            "/lfs/verify": lambda: self._verify(asked),
        }
        found = [door for part, door in doors.items() if part in path]
        return found[0]() if found else (404, {"error": f"the stand-in does not know {path}"})

    def _place(self, path: str) -> Path:
        """The branch that `/api/models/OWNER/NAME/VERB/REVISION` is about."""
        owner, name, _, revision = path.split("/", 6)[3:]
        return self.server.branch(f"{owner}/{name}", revision)

    def _branch(self, path: str) -> tuple[int, Any]:
        branch = self._place(path)
        if branch.is_dir():
            return 409, {"error": "Reference already exists"}
        branch.mkdir()
        self.server.repositories[f"models/{branch.parent.relative_to(self.server.folder)}"] = branch
        return 200, {}

    def _modes(self, path: str, files: list[dict[str, Any]]) -> tuple[int, Any]:
        if not self._place(path).is_dir():
            return 404, {"error": "Repository not found"}
        modes = ["lfs" if file["path"].endswith(LARGE) else "regular" for file in files]
        answers = [{"uploadMode": mode, "shouldIgnore": False, "oid": None} for mode in modes]
        return 200, {"files": [{"path": file["path"], **answer} for file, answer in zip(files, answers)]}

    def _verify(self, asked: dict[str, Any]) -> tuple[int, Any]:
        stored = self.server.objects.get(asked["oid"], b"")
        whole = hashlib.sha256(stored).hexdigest() == asked["oid"] and len(stored) == asked["size"]
        return (200, {}) if whole else (422, {"error": "not what was announced"})

    def _create(self, asked: dict[str, Any]) -> tuple[int, Any]:
        repository = f"{asked['organization']}/{asked['name']}"
        url = {"url": f"{self.server.url}/{repository}", "id": repository}
        if f"models/{repository}" in self.server.repositories:
            return 409, {"error": "You already created this model repo", **url}
        if asked.get("visibility") == "private" or asked.get("private"):
            self.server.private.add(repository)
        self.server.branch(repository).mkdir(parents=True)
        (self.server.branch(repository) / ".gitattributes").write_text("*.onnx filter=lfs\n", "utf-8")
        self.server.repositories[f"models/{repository}"] = self.server.branch(repository)
        return 200, url

    def _batch(self, objects: list[dict[str, Any]]) -> tuple[int, Any]:
        def answer(wanted: dict[str, Any]) -> dict[str, Any]:
            if wanted["oid"] in self.server.objects:
                return wanted
            upload = {"href": f"{self.server.url}/lfs/objects/{wanted['oid']}"}
            return {**wanted, "actions": {"upload": upload, "verify": {"href": f"{self.server.url}/lfs/verify"}}}

        return 200, {"transfer": "basic", "objects": [answer(wanted) for wanted in objects]}

    def _commit(self, path: str, lines: list[dict[str, Any]]) -> tuple[int, Any]:
        branch = self._place(path)
        for line in lines:
            value = line["value"]
            target = branch / value.get("path", "")
            if line["key"] == "header":
                self.server.commits.append(value["summary"])
            elif line["key"] == "deletedFile":
                target.unlink()
            else:
                stored = self.server.objects[value["oid"]] if "oid" in value else base64.b64decode(value["content"])
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(stored)
        url = f"{self.server.url}/{branch.parent.relative_to(self.server.folder)}/commit/{self._oid()}"
        return 200, {"success": True, "commitOid": self._oid(), "commitUrl": url}

    def _oid(self) -> str:
        return hashlib.sha1(str(len(self.server.commits)).encode()).hexdigest()

    def _information(self, repository: str, folder: Path) -> tuple[int, bytes, dict[str, str]]:
        status, body, headers = super()._information(repository, folder)
        found = {**json.loads(body), "sha": self._oid(), "private": repository in self.server.private}
        return status, json.dumps(found).encode(), headers

    def _file(self, path: Path) -> tuple[int, bytes, dict[str, str]]:
        status, body, headers = super()._file(path)
        return status, body, {**headers, "X-Repo-Commit": self._oid()}


def writable_hub(folder: Path) -> AbstractContextManager[WritableStandIn]:
    return running(WritableStandIn(folder))
