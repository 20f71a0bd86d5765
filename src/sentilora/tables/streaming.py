"""Rows of a file, some at a time and whatever its size; a broken row is told apart and does not stop the rest."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import BinaryIO, Callable, Optional, TypeVar, Union

import msgspec
import pyarrow as pa
import pyarrow.parquet

from sentilora.errors import DataError, in_one_line
from sentilora.tables.cells import JSON_FIELD
from sentilora.tables.delimited import Lines, read_delimited
from sentilora.tables.encoding import NOT_UTF8, is_utf8_text
from sentilora.tables.excel import EmptyWorkbookError, read_xlsx
from sentilora.tables.inputs import TableName

_Record = TypeVar("_Record")


@dataclass(frozen=True)
class Broken:
    """A row that cannot be used.

    Attributes:
        row: Its number in its file, from 1; a header is not counted.
        reason: Why, in a few words.
    """

    row: int
    reason: str


@dataclass(frozen=True)
class Chunk:
    """Consecutive rows of one file.

    Attributes:
        table: The sound ones. CSV cells are text as written, values of JSON lines their JSON text (`cells.is_json`).
        numbers: The sound ones' numbers in the file, from 1.
        broken: The others.
    """

    table: pa.Table
    numbers: list[int]
    broken: list[Broken]

    @property
    def rows(self) -> int:
        """How many rows, sound or broken."""
        return len(self.numbers) + len(self.broken)


def read_chunks(name: TableName, rows: int) -> Iterator[Chunk]:
    """Read a file of rows in order, `rows` at a time (the last chunk may be shorter); an empty file has no chunks.

    Text formats are read a line at a time; of Parquet a row group is in memory, and a compressed file is unpacked to
    the disk first; Excel workbooks are read whole.

    Raises:
        DataError: The file cannot be opened, breaks off, or has no usable header.
    """
    with name.open() as stream:
        try:
            yield from _READERS[name.ending](name, stream, rows)
        except ValueError as error:  # Arrow's errors among them
            raise DataError(f"{name.name} cannot be read: {in_one_line(error)}") from None


def _read_delimited(name: TableName, stream: BinaryIO, rows: int) -> Iterator[Chunk]:
    found = read_delimited(name, stream)
    if found is None:
        return
    _refuse_twins(name, found.header)
    # Of a single column a blank line is the empty cell that it looks like: were it passed over, a row would be lost.
    blank = [""] if len(found.header) == 1 else None
    filled = (record or blank for record in found.records)
    yield from _grouped((record for record in filled if record is not None), found.table, rows)


def _read_json_lines(name: TableName, stream: BinaryIO, rows: int) -> Iterator[Chunk]:
    decoder = msgspec.json.Decoder(dict[str, msgspec.Raw])

    def parse(line: str) -> Union[dict[str, msgspec.Raw], str]:
        if not is_utf8_text(line):
            return NOT_UTF8
        try:
            row = decoder.decode(line)
            twice = _named_twice(line, row)
        except msgspec.ValidationError:
            return "is not a JSON object"
        except (msgspec.DecodeError, json.JSONDecodeError) as error:
            return _why_malformed(line, error)
        except RecursionError:
            return "is nested too deeply"
        return row if twice is None else f"names '{twice}' twice"

    def build(sound: list[dict[str, msgspec.Raw]]) -> pa.Table:
        columns = list(dict.fromkeys(column for row in sound for column in row))
        cells = [[bytes(row[column]).decode() if column in row else None for row in sound] for column in columns]
        arrays = [pa.array(column, pa.large_string()) for column in cells]
        return pa.Table.from_arrays(arrays, schema=pa.schema([JSON_FIELD.with_name(column) for column in columns]))

    yield from _grouped((parse(line) for line in Lines(stream) if line.strip()), build, rows)


def _why_malformed(line: str, error: Exception) -> str:
    """Python reads half a character, as a cut text may end with; msgspec says of it that the line breaks off."""
    try:
        json.dumps(json.loads(line, parse_int=str, parse_float=str), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return "holds half of a character (a lone surrogate)"
    except (ValueError, RecursionError):
        pass
    return f"is malformed ({error})"


def _named_twice(line: str, row: Mapping[str, object]) -> Optional[str]:
    """A name that an object of JSON has for two values, of which `row` keeps the last only."""
    if "\\" not in line and all(line.count(f'"{name}"') == 1 for name in row):
        return None
    names: list[str] = json.loads(  # numbers stay text: one may have more digits than Python converts
        line, object_pairs_hook=lambda pairs: [name for name, _ in pairs], parse_int=str, parse_float=str
    )
    return next((name for name in names if names.count(name) > 1), None)


def _read_parquet(name: TableName, stream: BinaryIO, rows: int) -> Iterator[Chunk]:
    if name.compression is None:
        yield from _of_parquet(name, pyarrow.parquet.ParquetFile(stream), rows)
        return
    with tempfile.TemporaryFile() as unpacked:  # its index is at its end, and a compressed stream has no way back
        shutil.copyfileobj(stream, unpacked)
        yield from _of_parquet(name, pyarrow.parquet.ParquetFile(unpacked), rows)


def _of_parquet(name: TableName, file: pyarrow.parquet.ParquetFile, rows: int) -> Iterator[Chunk]:
    _refuse_twins(name, file.schema_arrow.names)
    first = 1
    for batch in file.iter_batches(batch_size=rows):
        yield Chunk(pa.Table.from_batches([batch]), list(range(first, first + len(batch))), [])
        first += len(batch)


def _read_xlsx(name: TableName, stream: BinaryIO, rows: int) -> Iterator[Chunk]:
    try:
        table = read_xlsx(stream.read())
    except EmptyWorkbookError:
        return
    _refuse_twins(name, table.column_names)
    for start in range(0, len(table), rows):
        piece = table.slice(start, rows)
        yield Chunk(piece, list(range(start + 1, start + 1 + len(piece))), [])


def _grouped(
    records: Iterator[Union[_Record, str]], build: Callable[[list[_Record]], pa.Table], rows: int
) -> Iterator[Chunk]:
    """Chunks of parsed records, of which a broken one is a text that says why."""
    numbered = enumerate(records, start=1)
    while group := list(islice(numbered, rows)):
        sound = [(number, record) for number, record in group if not isinstance(record, str)]
        broken = [Broken(number, record) for number, record in group if isinstance(record, str)]
        yield Chunk(build([record for _, record in sound]), [number for number, _ in sound], broken)


def _refuse_twins(name: TableName, columns: Sequence[str]) -> None:
    twice = sorted({column for column in columns if columns.count(column) > 1})
    if twice:
        raise DataError(f"{name.name} has more than one column called {', '.join(twice)}: rename one")


_Reader = Callable[[TableName, BinaryIO, int], Iterator[Chunk]]
_READERS: dict[str, _Reader] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
    ".xlsx": _read_xlsx,
}
