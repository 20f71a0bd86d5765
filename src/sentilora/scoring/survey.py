"""Reading the inputs once before the work: their columns, their rows, and what tells them from other files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Optional

import pyarrow as pa

from sentilora.errors import DataError
from sentilora.progress import Progress
from sentilora.scoring.job import InputFile, Shard
from sentilora.tables.cells import holds_texts, is_json, json_type
from sentilora.tables.columns import TEXT_NAMES, find_column
from sentilora.tables.inputs import TableName
from sentilora.tables.streaming import Chunk, read_chunks

_logger = logging.getLogger("sentilora")

_Types = dict[str, pa.DataType]


@dataclass(frozen=True)
class Source:
    """An input to score.

    Attributes:
        file: What is known of it.
        types: Its columns; null for one without values.
        sizes: Rows of its chunks; None for standard input.
        chunks: Its rows, to be read once.
    """

    file: InputFile
    types: _Types
    sizes: Optional[list[int]]
    chunks: Iterator[Chunk]


def survey(names: Sequence[TableName], text_column: Optional[str], chunk_rows: int, typed: bool) -> list[Source]:
    """Learn what the inputs hold. Standard input cannot be read twice: its first chunk must do.

    Args:
        names: The inputs.
        text_column: The column with the texts, where it has no usual name.
        chunk_rows: Rows of a chunk.
        typed: Whether the types of values in JSON lines matter.

    Raises:
        DataError: An input cannot be read, or has no column of texts.
    """
    with Progress("reading", None, "rows") as progress:
        return [
            _peek(name, text_column, chunk_rows)
            if name.is_standard
            else _survey_file(name, text_column, chunk_rows, typed, progress)
            for name in names
        ]


def all_columns(sources: Sequence[Source]) -> pa.Schema:
    """The columns of all inputs in the order they appear; text where inputs disagree on the type."""
    types: _Types = {}
    for source in sources:
        _merge(types, source.types)
    return pa.schema([(name, pa.large_string() if pa.types.is_null(kind) else kind) for name, kind in types.items()])


def rows_ahead(sources: Sequence[Source], shard: Optional[Shard]) -> Optional[int]:
    """Rows of a job or of a share of it; None where standard input is among its inputs."""
    if any(source.sizes is None for source in sources):
        return None
    sizes = [size for source in sources for size in source.sizes or ()]
    return sum(size for number, size in enumerate(sizes) if shard is None or number in shard)


def _survey_file(
    name: TableName, text_column: Optional[str], chunk_rows: int, typed: bool, progress: Progress
) -> Source:
    if name.ending == ".xlsx":
        _logger.info(f"{name.name} is read whole: a large table takes less memory as CSV or Parquet")
    fingerprint = name.fingerprint()
    types: _Types = {}
    sizes = []
    for chunk in read_chunks(name, chunk_rows):
        _merge(types, _types_of(chunk.table, typed))
        sizes.append(chunk.rows)
        progress.advance(chunk.rows)
    column = _text_column(name, text_column, types)
    return Source(InputFile(name.name, fingerprint, column, sum(sizes)), types, sizes, read_chunks(name, chunk_rows))


def _peek(name: TableName, text_column: Optional[str], chunk_rows: int) -> Source:
    chunks = read_chunks(name, chunk_rows)
    first = next(chunks, None)
    if first is None:
        raise DataError("standard input holds no rows")
    types = _types_of(first.table, typed=False)
    column = _text_column(name, text_column, types)
    return Source(InputFile(name.name, "", column, None), types, None, chain([first], chunks))


def _text_column(name: TableName, named: Optional[str], types: _Types) -> str:
    table = pa.schema(list(types.items())).empty_table()
    column = find_column(table, named, TEXT_NAMES, "text", name.name)
    if not name.holds_json and not holds_texts(types[column]):
        raise DataError(f"column '{column}' of {name.name} holds {types[column]}, not text")
    return column


def _types_of(table: pa.Table, typed: bool) -> _Types:
    return {
        field.name: (json_type(table.column(field.name).to_pylist()) if typed else pa.large_string())
        if is_json(field)
        else field.type
        for field in table.schema
    }


def _merge(types: _Types, more: _Types) -> None:
    for name, kind in more.items():
        known = types.get(name, kind)
        try:
            fields = [pa.schema([("", known)]), pa.schema([("", kind)])]
            types[name] = pa.unify_schemas(fields, promote_options="permissive").field(0).type
        except pa.ArrowException:
            types[name] = pa.large_string()
