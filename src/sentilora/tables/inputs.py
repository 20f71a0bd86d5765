"""Files of rows by any name: paths, folders, patterns, URLs and standard input, opened as streams."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import io
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Callable, Optional, cast

import fsspec
import pyarrow as pa
from fsspec.core import strip_protocol

from sentilora.artifacts import sha256_of
from sentilora.errors import DataError, first_line
from sentilora.tables.encoding import is_utf8_text

STANDARD = "-"
# Of a file's content, beside fsspec's own key, which for the web is the address alone.
_TOLD_BY_STORES = ("size", "ETag", "Content-MD5", "Digest")
COMPRESSIONS = {".gz": "gzip", ".zst": "zstd"}
_ENDINGS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".xlsx")
ENDINGS = f"{', '.join(_ENDINGS[:-1])} or {_ENDINGS[-1]} (or one of them with {' or '.join(COMPRESSIONS)})"


@dataclass(frozen=True)
class TableName:
    """What the name of a file says of it.

    Attributes:
        name: As the user knows it: a path, a URL, or `-`.
        ending: Of the rows, such as `.csv`.
        compression: As Arrow calls it; None for a plain file.
    """

    name: str
    ending: str
    compression: Optional[str] = None

    @classmethod
    def parse(cls, name: str, format_of_standard: Optional[str] = None) -> TableName:
        """Read a file's name.

        Args:
            name: A path, a URL, or `-`.
            format_of_standard: What `-` holds, such as `csv`.

        Raises:
            DataError: `-` without a format, or a name that does not end as files of rows do.
        """
        if name == STANDARD:
            if format_of_standard is None:
                raise DataError("- has no name that tells its format: say --format csv, tsv or jsonl")
            return cls(name, f".{format_of_standard}")
        path = PurePosixPath(name.partition("?")[0] if is_url(name) else name)
        compression = COMPRESSIONS.get(path.suffix.lower())
        ending = (PurePosixPath(path.stem) if compression else path).suffix.lower()
        if ending not in _ENDINGS:
            raise DataError(f"{name}: files of rows end in {ENDINGS}")
        return cls(name, ending, compression)

    @property
    def is_standard(self) -> bool:
        """Whether it is standard input or output."""
        return self.name == STANDARD

    @property
    def place(self) -> str:
        """Where it is, the same however it is spelt: links and relative paths are resolved."""
        if self.is_standard or (is_url(self.name) and not is_local(self.name)):
            return self.name
        return os.path.realpath(strip_protocol(self.name) if is_url(self.name) else self.name)

    @property
    def holds_json(self) -> bool:
        """Whether its values have types of their own, row by row."""
        return self.ending in (".jsonl", ".ndjson")

    @property
    def stem(self) -> str:
        """The name up to its ending."""
        path = self.name.partition("?")[0] if is_url(self.name) else self.name
        return path[: len(path) - len(self.suffixes)]

    @property
    def suffixes(self) -> str:
        """Such as `.csv.gz`."""
        return self.ending + next((suffix for suffix, name in COMPRESSIONS.items() if name == self.compression), "")

    def fingerprint(self) -> str:
        """What changes when the file does: sha256 of a local file, of what its store tells of a remote one.

        Raises:
            DataError: It cannot be read.
        """
        if is_url(self.name):
            with store_in_one_line(self.name):
                store, path = fsspec.core.url_to_fs(self.name)
                known = store.info(path)
                told = [store.ukey(path), *(known.get(key) for key in _TOLD_BY_STORES)]
                return hashlib.sha256(str(told).encode()).hexdigest()
        try:
            return sha256_of(Path(self.name))
        except OSError as error:
            raise DataError(f"{self.name} cannot be read: {error.strerror}") from None

    @contextlib.contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """The rows' bytes, decompressed; a plain local file can be sought in.

        Raises:
            DataError: It cannot be opened, or breaks off while it is read.
        """
        try:
            with self._open_raw() as raw:
                if self.compression is None:
                    yield raw
                else:
                    with pa.CompressedInputStream(pa.PythonFile(raw, "r"), self.compression) as stream:
                        yield cast(BinaryIO, io.BufferedReader(stream))
        except (pa.ArrowException, OSError) as error:
            raise DataError(f"{self.name} cannot be read: {getattr(error, 'strerror', None) or error}") from None

    @contextlib.contextmanager
    def _open_raw(self) -> Iterator[BinaryIO]:
        if self.is_standard:
            yield sys.stdin.buffer
        elif is_url(self.name):
            with store_in_one_line(self.name):
                opened = fsspec.open(self.name, "rb").open()
            with opened as raw, io.BufferedReader(raw) as buffered:  # files of stores have no readline with a limit
                yield cast(BinaryIO, buffered)
        else:
            with Path(self.name).open("rb") as file:
                yield file


def is_url(name: str) -> bool:
    """Whether fsspec is to find it."""
    return "://" in name


def is_local(url: str) -> bool:
    """Whether a URL means a file of this machine."""
    return url.startswith(("file:", "local:"))


def find_inputs(
    names: Sequence[str],
    format_of_standard: Optional[str] = None,
    leave_out: Callable[[str], bool] = lambda _: False,
) -> list[TableName]:
    """The files that the user's names mean, in the order of the names.

    Args:
        names: Paths, URLs, `-`; a folder stands for all files of rows in it and a pattern such as `reviews-*.csv` for
            what fits it, both sorted.
        format_of_standard: What `-` holds, such as `csv`.
        leave_out: Which files of a folder or pattern are not meant.

    Raises:
        DataError: A name means nothing, something twice, or a folder that cannot be read; or a file's is not UTF-8.
    """
    found = [input_ for name in names for input_ in _find(name, format_of_standard, leave_out)]
    times = Counter(input_.place for input_ in found)
    twice = {input_.name for input_ in found if times[input_.place] > 1}
    if twice:
        raise DataError(f"{', '.join(sorted(twice))} is named twice: name it once")
    strange = next((input_.name for input_ in found if not is_utf8_text(input_.name)), None)
    if strange is not None:
        raise DataError(f"{strange!a} has a name that is not UTF-8, which no record of it can hold: rename it")
    return found


def _find(name: str, format_of_standard: Optional[str], leave_out: Callable[[str], bool]) -> list[TableName]:
    if name == STANDARD:
        return [TableName.parse(name, format_of_standard)]
    if is_url(name):
        with store_in_one_line(name):
            candidates = _remote_candidates(name)
    else:
        try:
            candidates = _local_candidates(name)
        except OSError as error:
            raise DataError(f"{name} cannot be read: {error.strerror}") from None
    if candidates == [name]:
        return [TableName.parse(name)]
    tables = []
    for candidate in candidates:
        if leave_out(candidate):
            continue
        with contextlib.suppress(DataError):  # other files lie beside tables
            tables.append(TableName.parse(candidate))
    if not tables:
        raise DataError(f"{name} holds no files of rows: they end in {ENDINGS}")
    return tables


def _local_candidates(name: str) -> list[str]:
    path = Path(name)
    if path.is_dir():
        return sorted(str(entry) for entry in path.iterdir() if entry.is_file() and entry.name[0] != ".")
    if glob.has_magic(name) and not path.exists():
        return sorted(glob.glob(name, recursive=True))  # noqa: PTH207 - keeps the name as the user wrote it
    if not path.is_file():
        raise DataError(f"no file at {name}")
    return [name]


def _remote_candidates(name: str) -> list[str]:
    store, path = fsspec.core.url_to_fs(name)
    if "*" in path:
        return sorted(store.unstrip_protocol(entry) for entry in store.glob(path))
    if store.isdir(path):
        entries = store.ls(path, detail=True)
        return sorted(store.unstrip_protocol(entry["name"]) for entry in entries if entry["type"] == "file")
    return [name]


@contextlib.contextmanager
def store_in_one_line(name: str) -> Iterator[None]:
    """Name the URL in what a store raises, which may be anything."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - every store has errors of its own
        reason = getattr(error, "strerror", None) or first_line(error)
        raise DataError(f"{name} cannot be reached: {reason}") from None
