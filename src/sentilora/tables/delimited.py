"""Records of a delimited file, read strictly: a broken one is told apart and takes no other with it."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import BinaryIO, Optional, Union

import pyarrow as pa

from sentilora.config import MAX_CHARACTERS
from sentilora.errors import DataError
from sentilora.tables.delimiters import delimiter_of
from sentilora.tables.encoding import NOT_UTF8, UTF8_MARK, is_utf8_text, refuse_other_kinds
from sentilora.tables.inputs import TableName

_MAX_LINE = 16 << 20  # bytes: a longer line is not text
_MAX_CELL = 2 << 20  # characters: more between two quotes is a quote that was never closed


class Lines:
    """The lines of a UTF-8 stream, with their ends; some may be put back.

    Bytes that are not UTF-8 become surrogates, and a line that is too long is cut, which breaks it as a record.

    Raises:
        ValueError: With the first line, that the stream is UTF-16, has the line ends of old Macs, or is no text at all.
    """

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._waiting: list[str] = []
        self._at_start = True

    def __iter__(self) -> Iterator[str]:
        """These lines, from where they stand."""
        return self

    def __next__(self) -> str:
        """The next line."""
        if self._waiting:
            return self._waiting.pop()
        line = rest = self._stream.readline(_MAX_LINE)
        if not line:
            raise StopIteration
        while len(rest) == _MAX_LINE and not rest.endswith(b"\n"):
            rest = self._stream.readline(_MAX_LINE)
        if self._at_start:
            self._at_start = False
            refuse_other_kinds(line)
            if b"\r" in line.rstrip() and not line.endswith(b"\n"):
                raise ValueError("its lines end as on old Macs (CR): save it with the line ends of today, LF or CRLF")
            line = line[len(UTF8_MARK) :] if line.startswith(UTF8_MARK) else line
        return line.decode("utf-8", errors="surrogateescape")

    def put_back(self, lines: Sequence[str]) -> None:
        """Let these lines come next."""
        self._waiting.extend(reversed(lines))


@dataclass(frozen=True)
class Delimited:
    """A delimited file under its header.

    Attributes:
        header: The names of the columns, of which some may be alike.
        records: The cells of each sound record, as many as the header has; why a broken one is that and what to do,
            in a few words; no cells for a blank line.
    """

    header: list[str]
    records: Iterator[Union[list[str], str]]

    def table(self, records: Sequence[Sequence[Optional[str]]]) -> pa.Table:
        """Some of the records, sound ones, as a table of texts; None becomes null."""
        columns = zip(*records) if records else ([] for _ in self.header)
        return pa.Table.from_arrays([pa.array(cells, pa.large_string()) for cells in columns], names=self.header)


def read_delimited(name: TableName, stream: BinaryIO) -> Optional[Delimited]:
    """The header of a .csv or .tsv file, and its records as they are asked for; None for an empty file.

    Raises:
        DataError: The header is broken.
        ValueError: The file is UTF-16, has the line ends of old Macs, or is no text at all.
    """
    lines = Lines(stream)
    first = next((line for line in lines if line.strip()), "")
    lines.put_back([first] if first else [])
    delimiter = "\t" if name.ending == ".tsv" else delimiter_of(first, name.name)
    records = iter(_Records(lines, delimiter))
    header = next((record for record in records if record), None)
    if header is None:
        return None
    if isinstance(header, str):
        raise DataError(f"{name.name}: the header {header}")
    return Delimited(header, _of_a_width(records, len(header), delimiter))


def _of_a_width(
    records: Iterator[Union[list[str], str]], width: int, delimiter: str
) -> Iterator[Union[list[str], str]]:
    for record in records:
        if isinstance(record, list) and len(record) not in (0, width):
            named = "tabs" if delimiter == "\t" else f"'{delimiter}'"
            yield f"has {len(record)} cells, where the header has {width}: put texts with {named} in quotes"
        else:
            yield record


class _Records:
    """The records of a delimited file: the cells of a sound one (none: a blank line), why a broken one is that."""

    def __init__(self, lines: Lines, delimiter: str) -> None:
        self._lines = lines
        self._delimiter = delimiter

    def __iter__(self) -> Iterator[Union[list[str], str]]:
        """Strictly read: where quotes do not match, only the first line of the record is given up, not what follows."""
        csv.field_size_limit(max(_MAX_CELL, csv.field_size_limit()))
        taken: list[str] = []
        records = csv.reader(self._taking(taken), delimiter=self._delimiter, strict=True)
        while True:
            taken.clear()
            try:
                record = next(records)
            except StopIteration:
                return
            except csv.Error as error:
                self._lines.put_back(taken[1:])
                records = csv.reader(self._taking(taken), delimiter=self._delimiter, strict=True)
                yield _too_long() if "field limit" in str(error) else _malformed(error)
                continue
            yield record if all(map(is_utf8_text, record)) else NOT_UTF8

    def _taking(self, taken: list[str]) -> Iterator[str]:
        for line in self._lines:
            taken.append(line)
            yield line


def _malformed(error: csv.Error) -> str:
    return f"is malformed ({error}): close the quotes that it opens, and double those inside a text"


def _too_long() -> str:
    return (
        f"has a cell of more than {csv.field_size_limit():,} characters: close the quotes that it opens, or cut it (at "
        f"most {MAX_CHARACTERS:,} of a text are read)"
    )
