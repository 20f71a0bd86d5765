"""Formats that rows are written in: encoded a chunk at a time, joined into one file, and parted again."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import BinaryIO, Callable, Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet

from sentilora.errors import OutputError
from sentilora.tables.cells import as_json, as_texts, as_type
from sentilora.tables.inputs import TableName


class Size(msgspec.Struct, frozen=True):
    """How much of a joined file one chunk takes.

    Attributes:
        rows: Its rows.
        bytes: Its bytes before compression, in a text format.
    """

    rows: int
    bytes: int


class TableFormat(Protocol):
    """One output format."""

    def encode(self, table: pa.Table) -> bytes:
        """One chunk, with columns of the schema, not always all."""
        ...

    def join(self, chunks: Iterable[bytes], sink: BinaryIO) -> None:
        """Write chunks that `encode` made as one file."""
        ...

    def part(self, source: BinaryIO, sizes: Iterable[Size]) -> Iterator[bytes]:
        """The chunks of a joined file."""
        ...


def require_writable(name: TableName) -> None:
    """Make sure that we write the format that a file's name asks for.

    Raises:
        OutputError: It is one that we only read.
    """
    if name.ending not in _FORMATS or (name.ending == ".parquet" and name.compression is not None):
        raise OutputError(f"{name.name} cannot be written: end it in .csv, .tsv, .jsonl (also .gz or .zst) or .parquet")


def table_format(name: TableName, schema: pa.Schema) -> TableFormat:
    """The format that a file's name asks for, for rows with these columns."""
    return _FORMATS[name.ending](schema)


def compressing(name: TableName, sink: BinaryIO) -> BinaryIO:
    """Where to write so that `sink` gets what the file's name promises. Closing it closes `sink`."""
    if name.compression is None:
        return sink
    stream: BinaryIO = pa.CompressedOutputStream(pa.PythonFile(sink, "w"), name.compression)
    return stream


class _TextFormat:
    """Chunks one after another, perhaps under a header."""

    header = b""

    def join(self, chunks: Iterable[bytes], sink: BinaryIO) -> None:
        sink.write(self.header)
        for chunk in chunks:
            sink.write(chunk)
            sink.flush()

    def part(self, source: BinaryIO, sizes: Iterable[Size]) -> Iterator[bytes]:
        source.read(len(self.header))
        for size in sizes:
            yield source.read(size.bytes)


class _Delimited(_TextFormat):
    """CSV and TSV, quoted where needed; lines end in a line feed."""

    def __init__(self, schema: pa.Schema, delimiter: str) -> None:
        self._columns = schema.names
        self._delimiter = delimiter
        self._needs_quotes = re.compile(f'["\r\n{delimiter}]')
        self.header = self._line(self._columns)

    def encode(self, table: pa.Table) -> bytes:
        present = {field.name: as_texts(field, table.column(field.name)) for field in table.schema}
        absent = [None] * len(table)
        rows = zip(*(present.get(name, absent) for name in self._columns))
        return b"".join(self._line([cell or "" for cell in row]) for row in rows)

    def _line(self, cells: Iterable[str]) -> bytes:
        return (self._delimiter.join(map(self._quoted, cells)) + "\n").encode()

    def _quoted(self, cell: str) -> str:
        return '"' + cell.replace('"', '""') + '"' if self._needs_quotes.search(cell) else cell


class _JsonLines(_TextFormat):
    """One object a line, with the row's own members only."""

    def __init__(self, schema: pa.Schema) -> None:
        del schema  # a line says itself what it holds

    def encode(self, table: pa.Table) -> bytes:
        names = [msgspec.json.encode(name) for name in table.column_names]
        rows = zip(*(as_json(field, table.column(field.name)) for field in table.schema))
        lines = (b",".join(name + b":" + value for name, value in zip(names, row) if value is not None) for row in rows)
        return b"".join(b"{" + line + b"}\n" for line in lines)


class _Parquet:
    """One row group a chunk."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema

    def encode(self, table: pa.Table) -> bytes:
        columns = [
            as_type(table.field(field.name), table.column(field.name), field.type)
            if field.name in table.column_names
            else pa.nulls(len(table), field.type)
            for field in self._schema
        ]
        sink = pa.BufferOutputStream()
        pyarrow.parquet.write_table(pa.Table.from_arrays(columns, schema=self._schema), sink)
        encoded: bytes = sink.getvalue().to_pybytes()
        return encoded

    def join(self, chunks: Iterable[bytes], sink: BinaryIO) -> None:
        with pyarrow.parquet.ParquetWriter(sink, self._schema, compression="zstd") as writer:
            for chunk in chunks:
                table = pyarrow.parquet.read_table(pa.BufferReader(chunk))
                if len(table):
                    writer.write_table(table, row_group_size=len(table))

    def part(self, source: BinaryIO, sizes: Iterable[Size]) -> Iterator[bytes]:
        file = pyarrow.parquet.ParquetFile(source)
        group = 0
        for size in sizes:
            yield self.encode(file.read_row_group(group) if size.rows else self._schema.empty_table())
            group += bool(size.rows)


def _csv(schema: pa.Schema) -> TableFormat:
    return _Delimited(schema, ",")


def _tsv(schema: pa.Schema) -> TableFormat:
    return _Delimited(schema, "\t")


_FORMATS: dict[str, Callable[[pa.Schema], TableFormat]] = {
    ".csv": _csv,
    ".tsv": _tsv,
    ".jsonl": _JsonLines,
    ".ndjson": _JsonLines,
    ".parquet": _Parquet,
}
