"""Folders on disk: what they hold, how they are opened, and how they are written whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Optional, Union

import msgspec
from safetensors import SafetensorError

from sentilora.artifacts.manifest import FORMAT_VERSION, Manifest
from sentilora.errors import HubError, ModelError, OutputError, in_one_line
from sentilora.notes import Notes

MANIFEST = "sentilora.json"
UNFINISHED = ".unfinished"  # ends the name of what grows
README = "README.md"  # for people, who may edit it
ADAPTER_FOLDER = "adapter"
CHECKPOINT_FOLDER = "checkpoints"
CONFIG_FILE = "config.yaml"
LOG_FILE = "log.jsonl"
CURVE_FILE = "training.png"
METRICS_FILE = "metrics.json"
REPORT_FILE = "report.html"
VALIDATION_FILE = "validation.parquet"
CONVERSION_RECORD = "conversion.json"
PRETRAINING_RECORD = "pretraining.json"
TOKENIZER = "tokenizer.json"
WEIGHTS = "model.safetensors"
ADAPTER_WEIGHTS = "adapter_model.safetensors"
ADAPTER_CONFIG = "adapter_config.json"
GRAPH = "model.onnx"
GRAPH_WEIGHTS = "model.onnx_data"
BUNDLE_ADAPTER_FOLDER = "adapters"
BUNDLE_ADAPTER_WEIGHTS = "adapter.safetensors"

# What a model's folder may hold, in any of its folders: what is fetched from the Hub, and replaced there.
MODEL_FILES = ("*.json", "*.safetensors", "*.onnx", "*.onnx_data", "vocab.txt")

_LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNSEALED = (MANIFEST, README)
# One of these lies in every folder that we write, and that we may therefore replace.
_MARKS = (MANIFEST, METRICS_FILE, CONVERSION_RECORD, PRETRAINING_RECORD)
_PICKLES = (".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth")
_ON_THE_HUB = re.compile(r"(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w./-]+))?")

PathLike = Union[str, os.PathLike[str]]
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
        if sha256_of(folder / name) != expected:
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


def write_manifest(folder: Path, manifest: Manifest) -> Manifest:
    """Write the manifest last, with the sha256 of what lies beside it but the README. Returns what was written."""
    sealed = [entry for entry in sorted(folder.iterdir()) if entry.is_file() and entry.name not in _UNSEALED]
    files = {entry.name: sha256_of(entry) for entry in sealed}
    manifest = msgspec.structs.replace(manifest, files=files)
    write_json(folder / MANIFEST, manifest)
    return manifest


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, whole or not at all."""
    encoded = msgspec.json.format(msgspec.json.encode(value), indent=2) + b"\n"
    write_file(path, encoded)


def write_file(path: Path, content: bytes) -> None:
    """Write `content` to a temporary name beside `path`, flush it to the disk, and rename it, which is flushed too.

    Raises:
        OutputError: The disk is full or the folder is not writable.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
        flush(path.parent)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise _cannot_write(path, error) from None


def refuse_existing(path: Path, overwrite: bool) -> None:
    """Make sure that a new folder may appear at `path`.

    Raises:
        OutputError: Something is there and `overwrite` is false, or it is nothing that sentilora wrote: a file, a link,
            a mount point, or a folder of other things is never replaced.
    """
    if path.is_symlink() or (path.exists() and not path.is_dir()):
        raise OutputError(f"{path} is a file or a link, and is never replaced: choose another place")
    if path.is_mount():
        raise OutputError(f"{path} is a mount point, which cannot be replaced: choose a folder in it")
    if not path.exists() or not any(path.iterdir()):
        return
    if not overwrite:
        raise OutputError(f"{path} exists already: choose another place, or pass --overwrite to replace it")
    if not any((path / mark).is_file() for mark in _MARKS):
        raise OutputError(f"{path} holds something that is not ours, and is never replaced: choose another place")


@contextlib.contextmanager
def new_folder(path: Path, overwrite: bool = False) -> Iterator[Path]:
    """A folder that appears at `path` complete, or not at all.

    Yields:
        A temporary folder beside `path`. When the block ends well its files are flushed to the disk and it is renamed;
        when it ends in an error it is removed.

    Raises:
        OutputError: Something is there already and `overwrite` is false, or the place cannot be written.
    """
    refuse_existing(path, overwrite)
    path = path.resolve()
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}.tmp")
    try:
        _make(temporary)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror}") from None
    try:
        with full_disk_in_one_line(path):
            yield temporary
            _flush_all(temporary)
            _put_in_place(temporary, path, overwrite)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def unfinished(path: Path) -> Path:
    """Where the run that will be at `path` grows."""
    return path.resolve().with_name(f"{path.name}{UNFINISHED}")


@contextlib.contextmanager
def run_folder(path: Path, overwrite: bool) -> Iterator[Path]:
    """A run that grows as `NAME.unfinished` and appears at `path` complete.

    Yields:
        The growing folder, this process's own while the block lasts; it may hold what an earlier process left. When the
        block ends well it is flushed to the disk and renamed; when it ends in an error it stays if it holds a
        checkpoint, and is removed otherwise.

    Raises:
        OutputError: Something is at `path` already and `overwrite` is false, the place cannot be written, or another
            process trains there.
    """
    refuse_existing(path, overwrite)
    path = path.resolve()
    growing = unfinished(path)
    with exclusive(growing, f"training into {path}"):
        try:
            with full_disk_in_one_line(path):
                yield growing
                (growing / _LOCK).unlink()
                _flush_all(growing)
                _put_in_place(growing, path, overwrite)
        finally:
            if not any(growing.glob(f"{CHECKPOINT_FOLDER}/*")):
                shutil.rmtree(growing, ignore_errors=True)


@contextlib.contextmanager
def exclusive(folder: Path, doing: str) -> Iterator[None]:
    """Make `folder` if it is not there, and hold it as this process's own while the block lasts.

    Raises:
        OutputError: The place cannot be written, or another process is `doing` it.
    """
    try:
        _make(folder)
        lock = (folder / _LOCK).open("wb")
    except OSError as error:
        raise OutputError(f"cannot write {folder}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise OutputError(f"another process is {doing}: choose another place") from None
        yield


@contextlib.contextmanager
def full_disk_in_one_line(path: Path) -> Iterator[None]:
    """Raise what a full disk raises, under safetensors too, as an OutputError about `path`."""
    try:
        yield
    except OSError as error:
        if error.errno not in _FULL:
            raise
        raise _cannot_write(path, error) from None
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None or int(number[1]) not in _FULL:
            raise
        raise _cannot_write(path, OSError(int(number[1]), os.strerror(int(number[1])))) from None


def _cannot_write(path: Path, error: OSError) -> OutputError:
    advice = "; make room and give the command again" if error.errno in _FULL else ""
    return OutputError(f"cannot write {path}: {error.strerror}{advice}")


def _put_in_place(complete: Path, path: Path, overwrite: bool) -> None:
    """Rename a complete folder to `path`, in place of a folder that may be there, if it still may be replaced."""
    refuse_existing(path, overwrite)
    try:
        _rename(complete, path)
    except OSError as error:
        raise _cannot_write(path, error) from None


def _rename(complete: Path, path: Path) -> None:
    """Rename a folder, and let the one that was there go."""
    if not path.exists():
        complete.rename(path)
        flush(path.parent)
        return
    replaced = path.with_name(f".{path.name}.{secrets.token_hex(4)}.old")
    path.rename(replaced)
    try:
        complete.rename(path)
    except BaseException:
        replaced.rename(path)
        raise
    flush(path.parent)
    shutil.rmtree(replaced)


def _make(folder: Path) -> None:
    """Make a folder, and those above it, so that all stay."""
    if not folder.is_dir():
        _make(folder.parent)
        folder.mkdir(exist_ok=True)
        flush(folder.parent)


def _flush_all(folder: Path) -> None:
    """Flush a folder with all that it holds."""
    readable = folder.stat().st_mode & 0o666  # as the user's umask has it: safetensors makes files private
    for entry in folder.rglob("*"):
        if entry.is_file():
            entry.chmod(readable)
        flush(entry)
    flush(folder)


def flush(path: Path) -> None:
    """Have the disk keep a file's content, or which files a folder has, even if the power fails now."""
    if path.is_dir() and not hasattr(os, "O_DIRECTORY"):  # folders cannot be opened here
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
