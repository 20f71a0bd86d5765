"""Reading the inputs once before the work: their columns, their rows, and what tells them from other files."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Optional

import pyarrow as pa

from sentilora.errors import DataError
from sentilora.notes import Notes
from sentilora.progress import Progress
from sentilora.scoring.job import InputFile, Shard
from sentilora.tables.cells import holds_texts, is_json
from sentilora.tables.columns import TEXT_NAMES, find_column
from sentilora.tables.inputs import TableName
from sentilora.tables.kinds import NONE, Kind, kind_of
from sentilora.tables.streaming import Broken, Chunk, read_chunks

_logger = logging.getLogger("sentilora")

_Kinds = dict[str, Kind]


@dataclass(frozen=True)
class Source:
    """An input to score.

    Attributes:
        file: What is known of it.
        kinds: Its columns; none for an input without a sound row.
        sizes: Rows of its chunks; None for standard input.
        chunks: Its rows, to be read once.
    """

    file: InputFile
    kinds: _Kinds
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
        DataError: An input cannot be read, or has no column of texts; or none of them has a sound row.
    """
    with Progress("reading", None, "rows") as progress:
        sources = [
            _peek(name, text_column, chunk_rows)
            if name.is_standard
            else _survey_file(name, text_column, chunk_rows, typed, progress)
            for name in names
        ]
    if not any(source.kinds for source in sources):
        given = names[0].name if len(names) == 1 else f"none of the {len(names)} inputs"
        raise DataError(f"{given} holds {'no' if len(names) == 1 else 'a'} row that can be read: nothing to score")
    return sources


def all_columns(sources: Sequence[Source], notes: Optional[Notes]) -> pa.Schema:
    """The columns of all inputs in the order they appear; text where no other type holds all values of one.

    Args:
        sources: The inputs.
        notes: Told of those columns; None where types do not matter.
    """
    kinds: _Kinds = {}
    for source in sources:
        _merge(kinds, source.kinds)
    for name, kind in kinds.items():
        if kind.mixed and notes is not None:
            notes.say(f"column '{name}' holds values of several types, or too large for one: it is written as text")
    return pa.schema(
        [(name, pa.large_string() if kind.type == pa.null() else kind.type) for name, kind in kinds.items()]
    )


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
    kinds: _Kinds = {}
    sizes = []
    sound = 0
    broken: Optional[Broken] = None
    for chunk in read_chunks(name, chunk_rows):
        sound += len(chunk.numbers)
        if chunk.numbers:
            _merge(kinds, _kinds_of(chunk.table, typed))
        broken = broken or next(iter(chunk.broken), None)
        sizes.append(chunk.rows)
        progress.advance(chunk.rows)
    if sound:
        column = _text_column(name, text_column, kinds)
    else:
        column = ""
        _logger.info(f"{name.name}: {_without_rows(broken)}")
    return Source(InputFile(name.name, fingerprint, column, sum(sizes)), kinds, sizes, read_chunks(name, chunk_rows))


def _without_rows(broken: Optional[Broken]) -> str:
    if broken is None:
        return "0 rows, and nothing to score"
    return f"no row can be read (row {broken.row} {broken.reason}): all are rejected"


def _peek(name: TableName, text_column: Optional[str], chunk_rows: int) -> Source:
    chunks = read_chunks(name, chunk_rows)
    ahead: list[Chunk] = []  # those before the first sound row, which alone names the columns
    for chunk in chunks:
        ahead.append(chunk)
        if chunk.numbers:
            break
    else:
        raise DataError("standard input holds no row that can be read: nothing to score")
    kinds = _kinds_of(ahead[-1].table, typed=False)
    column = _text_column(name, text_column, kinds)
    return Source(InputFile(name.name, "", column, None), kinds, None, chain(ahead, chunks))


def _text_column(name: TableName, named: Optional[str], kinds: _Kinds) -> str:
    column = find_column(list(kinds), named, TEXT_NAMES, "text", name.name)
    if not name.holds_json and not holds_texts(kinds[column].type):
        raise DataError(f"column '{column}' of {name.name} holds {kinds[column].type}, not text")
    return column


def _kinds_of(table: pa.Table, typed: bool) -> _Kinds:
    return {
        field.name: kind_of(field, table.column(field.name))
        if typed
        else Kind(pa.large_string() if is_json(field) else field.type)
        for field in table.schema
    }


def _merge(kinds: _Kinds, more: _Kinds) -> None:
    for name, kind in more.items():
        kinds[name] = kinds.get(name, NONE) | kind
