"""Folders that answer: how they are found and opened, and what they say of themselves."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional

import msgspec

from sentilora.artifacts.manifest import FORMAT_VERSION, Manifest
from sentilora.artifacts.names import (
    ADAPTER_CONFIG,
    ADAPTER_FOLDER,
    ADAPTER_WEIGHTS,
    GRAPH,
    MANIFEST,
    MODEL_FILES,
    VALIDATION_FILE,
    WEIGHTS,
    PathLike,
)
from sentilora.errors import HubError, ModelError, in_one_line
from sentilora.notes import Notes

_PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
_ON_THE_HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")

ModelKind = Literal["adapter", "merged", "bundle"]


@dataclass(frozen=True)
class ModelFolder:
    """A folder that answers, and what is known of it.

    Attributes:
        path: The folder with the weights (for a run, its `adapter/`).
        kind: `adapter` (LoRA matrices and a head), `merged` (a standalone model) or `bundle` (which needs no PyTorch).
        manifest: None where someone else made the folder.
    """

    path: Path
    kind: ModelKind
    manifest: Optional[Manifest]


def sha256_of(path: Path) -> str:
    """The sha256 of a file, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def open_model(path: PathLike, notes: Optional[Notes] = None) -> ModelFolder:
    """Find the model at `path`, refuse what is unsafe or damaged, and read its manifest.

    Args:
        path: A run, an adapter (ours or made by plain PEFT), a standalone model, or a bundle; or one of the Hub, as
            `owner/name` or `owner/name@revision`. A folder of that name wins over the Hub.
        notes: Told what was taken from the Hub.

    Raises:
        ModelError: There is no model there, it holds pickled files, or a file differs from its recorded sha256.
    """
    folder = Path(path)
    if not folder.exists():
        folder = _snapshot(folder, notes or Notes())
    if (folder / ADAPTER_FOLDER / ADAPTER_CONFIG).is_file():
        folder = folder / ADAPTER_FOLDER
    pickles = pickles_in(folder.glob("*"))
    if (folder / ADAPTER_CONFIG).is_file():
        kind: ModelKind = "adapter"
        weights = ADAPTER_WEIGHTS
    elif (folder / GRAPH).is_file():
        kind, weights = "bundle", GRAPH
    elif (folder / "config.json").is_file():
        kind, weights = "merged", WEIGHTS
    else:
        raise ModelError(f"{folder} holds no model: expected {ADAPTER_CONFIG}, config.json or {GRAPH} in it")
    if pickles:
        raise ModelError(f"{pickles[0]} may be a pickle, which can run code when loaded: remove it, and keep {weights}")
    if not (folder / weights).is_file():
        raise ModelError(f"{folder} has no {weights}: save the model as safetensors")
    manifest = read_manifest(folder)
    if manifest is not None and manifest.kind != kind:
        raise ModelError(f"{folder / MANIFEST} speaks of a {manifest.kind}, but the folder holds a {kind}")
    return ModelFolder(folder, kind, manifest)


def _snapshot(path: Path, notes: Notes) -> Path:
    """The files of a model on the Hub, in the local cache.

    Raises:
        ModelError: `path` is no id of the Hub, or nothing can be had there.
    """
    absent = f"no folder at {path}: name a run, an adapter, a merged model or a bundle"
    named = _ON_THE_HUB.fullmatch(str(path))
    if named is None:
        raise ModelError(absent)
    from sentilora import hub  # noqa: PLC0415 - slow to import

    try:
        snapshot = hub.fetch(named["repository"], MODEL_FILES, revision=named["revision"])
    except HubError as error:
        raise ModelError(f"{absent}, here or on the Hub ({error})") from None
    notes.say(f"{path} is taken from the Hub, commit {snapshot.name[:12]}")
    return snapshot


def pickles_in(files: Iterable[Path]) -> list[Path]:
    """Those that may be pickles, by their endings."""
    return sorted(file for file in files if file.suffix in _PICKLES)


def cache_folder() -> Path:
    """Where sentilora keeps what it can make again: `$SENTILORA_CACHE`, else `sentilora` in the user's cache folder."""
    chosen = os.environ.get("SENTILORA_CACHE")
    if chosen:
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sentilora"


def kept_validation(path: PathLike) -> Optional[str]:
    """The validation texts that the run at `path` keeps; None where it is no run."""
    kept = Path(path) / VALIDATION_FILE
    return str(kept) if kept.is_file() else None


def read_manifest(folder: Path) -> Optional[Manifest]:
    """The manifest of a folder with every file's sha256 checked; None if the folder has none.

    Raises:
        ModelError: The manifest is unreadable or newer than this version, or a file is missing or changed.
    """
    path = folder / MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path} is not a manifest of sentilora: {error}") from None
    if manifest.format > FORMAT_VERSION:
        raise ModelError(f"{path} has format {manifest.format}, this version reads {FORMAT_VERSION}: update sentilora")
    for name, expected in manifest.files.items():
        if Path(name).name != name:
            raise ModelError(f"{path} names a file outside its folder: {name}")
        if not (folder / name).is_file():
            raise ModelError(f"{folder / name} is missing: copy the whole folder again")
        if _sum_of(folder / name) != expected:
            raise ModelError(f"{folder / name} is damaged (sha256 differs from {MANIFEST}): copy it again, or retrain")
    return manifest


def read_object(path: Path) -> dict[str, Any]:
    """What a file of JSON says, which must be names with values.

    Raises:
        ModelError: It is not there, or is nothing of that kind.
    """
    try:
        content = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ModelError(f"{path} cannot be read ({error.strerror}): copy it again") from None
    except ValueError as error:
        raise ModelError(f"{path} is not JSON ({in_one_line(error)}): copy it again") from None
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds a {type(content).__name__}, not names with values: copy it again")
    return content


def _sum_of(path: Path) -> str:
    try:
        return sha256_of(path)
    except OSError as error:
        raise ModelError(f"{path} cannot be read: {error.strerror}") from None
