"""Files and folders that are written whole or not at all, and never over what is not ours or is needed."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import msgspec
from safetensors import SafetensorError

from sentilora.artifacts.manifest import Manifest
from sentilora.artifacts.names import (
    CHECKPOINT_FOLDER,
    CONVERSION_RECORD,
    MANIFEST,
    METRICS_FILE,
    PRETRAINING_RECORD,
    README,
    UNFINISHED,
    WEIGHTS,
    PathLike,
)
from sentilora.artifacts.reading import read_object, sha256_of
from sentilora.errors import ModelError, OutputError
from sentilora.paths import local_path

_LOCK = ".lock"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_UNSEALED = (MANIFEST, README)
# One of these lies in every folder that we write, and that we may therefore replace; others write files of such names,
# which do not tell of this.
_MARKS = {
    MANIFEST: "max_length",
    METRICS_FILE: "reload_difference",
    CONVERSION_RECORD: WEIGHTS,
    PRETRAINING_RECORD: "tokens_per_second",
}


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
        raise cannot_write(path, error) from None


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
    if not any(_tells(path / mark, of) for mark, of in _MARKS.items()):
        raise OutputError(f"{path} holds something that is not ours, and is never replaced: choose another place")


def _tells(path: Path, of: str) -> bool:
    try:
        return of in read_object(path)
    except ModelError:
        return False


def refuse_replacing(target: Path, needed: Iterable[PathLike]) -> None:
    """Make sure that a folder that is to be replaced holds nothing that is read, or needed later.

    Args:
        target: The new folder.
        needed: Files and folders; what is none, such as the name of a data set, is passed over.

    Raises:
        OutputError: It does.
    """
    for each in map(local_path, needed):
        if each.exists() and each.resolve().is_relative_to(target.resolve()):
            raise OutputError(f"{target} holds {each}, which is needed: choose another place")


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
        raise cannot_write(path, error) from None
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
        raise cannot_write(folder, error) from None
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
        raise cannot_write(path, error) from None
    except SafetensorError as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None or int(number[1]) not in _FULL:
            raise
        raise cannot_write(path, OSError(int(number[1]), os.strerror(int(number[1])))) from None


def cannot_write(path: Path, error: OSError) -> OutputError:
    """What to raise where the system refuses to write `path`."""
    advice = "; make room and give the command again" if error.errno in _FULL else ""
    return OutputError(f"cannot write {path}: {error.strerror}{advice}")


def _put_in_place(complete: Path, path: Path, overwrite: bool) -> None:
    """Rename a complete folder to `path`, in place of a folder that may be there, if it still may be replaced."""
    refuse_existing(path, overwrite)
    try:
        _rename(complete, path)
    except OSError as error:
        raise cannot_write(path, error) from None


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
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
