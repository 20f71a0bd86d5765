"""What a job has done so far, on disk: a killed job goes on where it was, and its output appears whole."""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import fsspec
import msgspec
from fsspec.core import strip_protocol

from sentilora.artifacts import (
    cache_folder,
    exclusive,
    flush,
    full_disk_in_one_line,
    sha256_of,
    unfinished,
    write_file,
    write_json,
)
from sentilora.errors import OutputError
from sentilora.scoring.job import SHARD_RECORD, Job, Shard
from sentilora.scoring.rows import ChunkRecord, ScoredChunk
from sentilora.tables import scored
from sentilora.tables.inputs import TableName, is_local, is_url, store_in_one_line
from sentilora.tables.writing import TableFormat, compressing

_logger = logging.getLogger("sentilora")

REJECTS = scored.REJECTS
_JOURNAL = "journal.json"


class JournalEntry(msgspec.Struct, frozen=True):
    """What `journal.json` says.

    Attributes:
        job: The job that the folder belongs to.
        shard: The share of it.
        sealed: sha256 of the joined output, once it is about to be put in place.
    """

    job: Job
    shard: Optional[Shard] = None
    sealed: Optional[str] = None

    def changed(self, other: JournalEntry) -> list[str]:
        """What differs from another entry's job, in words."""
        names = [
            name for name in ("inputs", "model", "settings") if getattr(self.job, name) != getattr(other.job, name)
        ]
        same = self.job == other.job and self.shard == other.shard
        return names or ([] if same else ["settings"])


class ShardRecord(msgspec.Struct, frozen=True):
    """What lies beside the output of a shard, for `gather`.

    Attributes:
        job: The whole job.
        shard: The share.
        chunks: The chunks of this share, in their order.
        sha256: Of the output.
        rejects_sha256: Of the rejects; None where there are none.
    """

    job: Job
    shard: Shard
    chunks: tuple[ChunkRecord, ...]
    sha256: str
    rejects_sha256: Optional[str]


@dataclass(frozen=True)
class OutputPlace:
    """Where a local output goes, and what lies beside it."""

    path: Path

    @staticmethod
    def of(target: TableName) -> OutputPlace:
        """The place that the name of an output, which is not standard output, means.

        Raises:
            OutputError: It is a link.
        """
        if is_url(target.name):
            return RemotePlace.at(target)
        if Path(target.name).is_symlink():
            raise OutputError(f"{target.name} is a link, and is not written through: name the file itself")
        return OutputPlace(Path(target.name))

    @property
    def name(self) -> str:
        """As the user knows it."""
        return str(self.path)

    @property
    def rejects(self) -> Path:
        """The rows that could not be scored."""
        return self.path.with_name(self.path.name + REJECTS)

    @property
    def shard_record(self) -> Path:
        """What `gather` needs to know."""
        return self.path.with_name(self.path.name + SHARD_RECORD)

    def refuse_existing(self, overwrite: bool) -> None:
        """Make sure that the output may be written.

        Raises:
            OutputError: It is there and is not to be overwritten, or is no file.
        """
        for path in (self.path, self.rejects):
            if path.is_dir():
                raise OutputError(f"{path} is a folder: name a file")
            if path.exists() and not overwrite:
                raise OutputError(f"{path} exists already: choose another name, or pass --overwrite to replace it")

    def differs(self, sha256: str) -> bool:
        """Whether an output is there with other content."""
        return self.path.exists() and not (self.path.is_file() and sha256_of(self.path) == sha256)

    def put(self, joined: Path, rejects: Optional[Path]) -> None:
        """Rename complete files into place, the output last."""
        if rejects is None:
            self.rejects.unlink(missing_ok=True)
        else:
            rejects.replace(self.rejects)
        joined.replace(self.path)
        flush(self.path.parent)


@dataclass(frozen=True)
class RemotePlace(OutputPlace):
    """Where a remote output goes. It grows here, at `path` in the cache, and is copied there whole.

    Attributes:
        url: Of the output.
    """

    url: str

    @classmethod
    def at(cls, target: TableName) -> RemotePlace:
        """The place of a URL; its journal is always at the same place of this machine."""
        digest = hashlib.sha256(target.name.encode()).hexdigest()[:16]
        return cls(cache_folder() / "outputs" / f"{digest}{target.suffixes}", target.name)

    @property
    def name(self) -> str:
        """The URL."""
        return self.url

    def refuse_existing(self, overwrite: bool) -> None:
        """Make sure that the output may be written.

        Raises:
            DataError: The store cannot be reached.
            OutputError: The output is there and is not to be overwritten.
        """
        with store_in_one_line(self.url):
            store, path = fsspec.core.url_to_fs(self.url)
            present = store.exists(path)
        if present and not overwrite:
            raise OutputError(f"{self.url} exists already: choose another name, or pass --overwrite to replace it")

    def differs(self, sha256: str) -> bool:
        """Nothing says whose content is there: it is asked for again whether it may be replaced."""
        del sha256
        return True

    def put(self, joined: Path, rejects: Optional[Path]) -> None:
        """Copy complete files to the store, the output last; the rejects of an earlier output go.

        Raises:
            DataError: The store takes them not.
        """
        with store_in_one_line(self.url):
            store, path = fsspec.core.url_to_fs(self.url)
            if rejects is not None:
                store.put_file(str(rejects), path + REJECTS)
            elif store.exists(path + REJECTS):
                store.rm_file(path + REJECTS)
            store.put_file(str(joined), path)


@contextlib.contextmanager
def names_in_one_line(target: TableName) -> Iterator[None]:
    """Name the output in what a file system raises of its name, which may be too long, or of its folder."""
    try:
        yield
    except OSError as error:
        raise OutputError(f"cannot write {target.name}: {error.strerror}") from None


def is_own(candidate: str, output: TableName) -> bool:
    """Whether a file is the output, a shard of it, or a list of rejects, none of which is meant by its folder.

    A shard has a record beside it, which tells it from the `train-00000-of-00002.parquet` of a data set of the Hub.
    """
    folder, name = _folder_and_name(candidate)
    own_folder, stem = _folder_and_name(output.stem)
    shard = f"{re.escape(stem)}-[0-9]+-of-[0-9]+{re.escape(output.name[len(output.stem) :])}"
    if name.endswith(REJECTS) or (folder, name) == _folder_and_name(output.name):
        return True
    is_shard = folder == own_folder and re.fullmatch(shard, name) is not None
    return is_shard and Path(folder, name + SHARD_RECORD).is_file()


def _folder_and_name(path: str) -> tuple[str, str]:
    """Where a file is, the same however it is spelt, and what it is called there."""
    local = not is_url(path) or is_local(path)
    folder, name = os.path.split(strip_protocol(path))
    return os.path.realpath(folder) if local else folder, name


class Journal:
    """The growing folder of a job, `OUTPUT.unfinished`, held by this process alone.

    Each finished chunk is there as up to three files, each written whole; the last, its record, makes it count.
    """

    def __init__(self, folder: Path, place: OutputPlace, entry: JournalEntry, overwrite: bool) -> None:
        self.folder = folder
        self._place = place
        self._entry = entry
        self._overwrite = overwrite

    @classmethod
    @contextlib.contextmanager
    def open(cls, place: OutputPlace, entry: JournalEntry, overwrite: bool, resume: bool) -> Iterator[Journal]:
        """The journal of a job, with what an earlier process left of it.

        Args:
            place: Of the output.
            entry: Job and share.
            overwrite: Whether an output that is there, and a journal of another job, may be replaced.
            resume: Whether what an earlier process left may be used.

        Raises:
            OutputError: The output is there, the journal belongs to another job, another process works on it, or the
                place cannot be written.
        """
        folder = unfinished(place.path)
        with exclusive(folder, f"writing {place.name}"):
            journal = cls(folder, place, entry, overwrite)
            try:
                with full_disk_in_one_line(place.path):
                    journal._start(resume)
                    yield journal
            finally:
                journal._leave(resume)

    def is_done(self, number: int) -> bool:
        """Whether a chunk is finished."""
        return self._file(number, "json").is_file()

    def record(self, number: int) -> ChunkRecord:
        """The record of a finished chunk."""
        return msgspec.json.decode(self._file(number, "json").read_bytes(), type=ChunkRecord)

    def keep(self, number: int, chunk: ScoredChunk) -> None:
        """Write a finished chunk."""
        write_file(self._file(number, "part"), chunk.encoded)
        if chunk.rejects:
            write_file(self._file(number, "rejects"), chunk.rejects)
        write_file(self._file(number, "json"), msgspec.json.encode(chunk.record))

    def forget(self) -> None:
        """Drop all finished chunks, which are of no use where an input was changed between two of them."""
        for path in [*self._record_files(), *self.folder.glob("[0-9]*")]:
            path.unlink(missing_ok=True)

    def finish(self, name: TableName, output: TableFormat, records: Mapping[int, ChunkRecord]) -> None:
        """Join the chunks in their order, put the output in place, and remove the journal.

        Raises:
            OutputError: Another file has taken the place meanwhile, and is not to be overwritten.
        """
        joined, rejects = self.folder / "joined", self.folder / "joined.rejects"
        write_joined(joined, name, output, (self._file(number, "part").read_bytes() for number in records))
        rejected = [number for number, record in records.items() if record.rejects]
        if rejected:
            write_rejects(rejects, (self._file(number, "rejects").read_bytes() for number in rejected))
        sealed = sha256_of(joined)
        if self._entry.shard is not None:
            rejects_sha256 = sha256_of(rejects) if rejected else None
            chunks = tuple(records.values())
            record = ShardRecord(self._entry.job, self._entry.shard, chunks, sealed, rejects_sha256)
            write_json(self._place.shard_record, record)
        self._write(msgspec.structs.replace(self._entry, sealed=sealed))
        if self._place.differs(sealed):  # it may have come since
            self._place.refuse_existing(self._overwrite)
        self._place.put(joined, rejects if rejected else None)
        (self.folder / _JOURNAL).unlink()

    def _start(self, resume: bool) -> None:
        earlier = self._earlier()
        if earlier is None or earlier.sealed is None or self._place.differs(earlier.sealed):
            self._place.refuse_existing(self._overwrite)
        if earlier is not None and not self._overwrite:
            changed = earlier.changed(self._entry)
            if changed:
                raise OutputError(
                    f"{self.folder} was begun with other {' and '.join(changed)}: give the command as it was, or pass "
                    "--overwrite to begin anew"
                )
        if earlier is None or not resume or earlier.changed(self._entry):
            self.forget()
            self._write(self._entry)

    def _leave(self, resume: bool) -> None:
        """Remove what is of no use to a later command, which the work of another job may be."""
        earlier = self._earlier()
        ours = earlier is not None and not earlier.changed(self._entry)
        complete = earlier is not None and earlier.sealed is not None
        if earlier is None or (ours and not complete and not (resume and self._record_files())):
            shutil.rmtree(self.folder, ignore_errors=True)
        elif ours and complete:
            next_time = ": the same command puts them in place" if resume else ""
            _logger.info(f"all rows are done, and kept as joined and joined.rejects in {self.folder}{next_time}")
        elif ours:
            _logger.info(f"what is done is kept in {self.folder}: the same command goes on from there")

    def _earlier(self) -> Optional[JournalEntry]:
        path = self.folder / _JOURNAL
        if not path.is_file():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=JournalEntry)
        except msgspec.MsgspecError:
            raise OutputError(f"{path} is not a journal of this version: remove {self.folder} to begin anew") from None

    def _write(self, entry: JournalEntry) -> None:
        write_file(self.folder / _JOURNAL, msgspec.json.encode(entry))

    def _file(self, number: int, kind: str) -> Path:
        return self.folder / f"{number:08d}.{kind}"

    def _record_files(self) -> list[Path]:
        return list(self.folder.glob("[0-9]*.json"))


def write_joined(path: Path, name: TableName, output: TableFormat, chunks: Iterable[bytes]) -> None:
    """Write chunks as one file, compressed as `name` says, and flush it to the disk."""
    with path.open("wb") as file, compressing(name, file) as sink:
        output.join(chunks, sink)
    flush(path)


def write_rejects(path: Path, lines: Iterable[bytes]) -> None:
    """Write rejects, and flush them to the disk."""
    with path.open("wb") as file:
        file.writelines(lines)
    flush(path)
