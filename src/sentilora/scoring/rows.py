"""One chunk of rows: from what was read to what is written, with nothing lost between."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Callable, Optional

import msgspec
import pyarrow as pa

from sentilora.config import MAX_CHARACTERS
from sentilora.errors import DataError
from sentilora.notes import Notes
from sentilora.scoring.answers import Answer, Answers
from sentilora.scoring.job import InputFile
from sentilora.tables.cells import as_values, is_text, not_utf8
from sentilora.tables.inputs import TableName
from sentilora.tables.scored import ANSWER_TYPES, SUFFIX
from sentilora.tables.streaming import Broken, Chunk
from sentilora.tables.writing import Size, TableFormat, table_format


class ChunkRecord(msgspec.Struct, frozen=True):
    """What became of a chunk.

    Attributes:
        rows: Rows read.
        size: Of the rows written.
        rejects: Rows told apart.
        rejects_bytes: Of their lines.
    """

    rows: int
    size: Size
    rejects: int
    rejects_bytes: int


@dataclass(frozen=True)
class ScoredChunk:
    """A chunk, ready to be written.

    Attributes:
        record: What became of it.
        encoded: Its rows with their answers, in the output's format.
        rejects: Lines of JSON on the rows that could not be scored.
        repeated: Texts that needed no computing.
    """

    record: ChunkRecord
    encoded: bytes
    rejects: bytes
    repeated: int


class Reject(msgspec.Struct, frozen=True):
    """A line of the file of rejects.

    Attributes:
        file: The input.
        row: Its number in it, from 1, without the header.
        reason: Why it was not scored.
    """

    file: str
    row: int
    reason: str


@dataclass(frozen=True)
class Layout:
    """How scored rows are written.

    Attributes:
        output: Whose ending names the format.
        schema: All columns.
        answer_columns: Those that hold the answers.
    """

    output: TableName
    schema: pa.Schema
    answer_columns: Sequence[str]

    @property
    def format(self) -> TableFormat:
        """What encodes and joins chunks."""
        return table_format(self.output, self.schema)

    def has_room_for(self, column: str) -> bool:
        """Whether a row may bring a value in this column."""
        return column not in self.answer_columns and (self.output.holds_json or column in self.schema.names)

    def holds_bytes(self, column: str) -> bool:
        """Whether what is not UTF-8 can be written in this column."""
        return self.output.ending == ".parquet" and not is_text(self.schema.field(column).type)


def with_answers(columns: pa.Schema, notes: Notes) -> tuple[pa.Schema, list[str]]:
    """The output's columns, and those among them that hold the answers.

    Raises:
        DataError: The inputs have columns of all the names that we could take.
    """
    names = []
    for name in ANSWER_TYPES:
        chosen = name if name not in columns.names else name + SUFFIX
        if chosen in columns.names:
            raise DataError(f"the inputs have a column '{name}' and a column '{chosen}': rename one of them")
        if chosen != name:
            notes.say(f"the inputs have a column '{name}' of their own: ours is '{chosen}'")
        names.append(chosen)
    return pa.schema([*columns, *map(pa.field, names, ANSWER_TYPES.values())]), names


class RowScorer:
    """Scores chunks.

    Args:
        answers: Where the answers come from.
        layout: How to write.
        on_rows: Told of every row.
    """

    def __init__(self, answers: Answers, layout: Layout, on_rows: Callable[[int], Any]) -> None:
        self._answers = answers
        self._layout = layout
        self._format = layout.format
        self._on_rows = on_rows

    def __call__(self, file: InputFile, chunk: Chunk) -> ScoredChunk:
        """Score a chunk."""
        texts, unusable = _texts(chunk, file.text_column)
        unusable = {**self._unplaced(chunk), **unusable}
        kept = [place for place in range(len(texts)) if place not in unusable]
        broken = [*chunk.broken, *(Broken(chunk.numbers[place], reason) for place, reason in unusable.items())]
        self._on_rows(len(broken))
        repeated = self._answers.repeated
        answers = self._answers([texts[place] for place in kept], self._on_rows)
        table = chunk.table if len(kept) == len(texts) else chunk.table.take(pa.array(kept, pa.int64()))
        encoded = self._format.encode(self._with_answers(table, answers))
        rejects = b"".join(
            msgspec.json.encode(Reject(file.name, row.row, row.reason)) + b"\n"
            for row in sorted(broken, key=lambda row: row.row)
        )
        record = ChunkRecord(chunk.rows, Size(len(answers), len(encoded)), len(broken), len(rejects))
        return ScoredChunk(record, encoded, rejects, self._answers.repeated - repeated)

    def _with_answers(self, table: pa.Table, answers: Sequence[Answer]) -> pa.Table:
        # Of a late column that is called like an answer's no value is left: such rows were told apart.
        table = table.drop_columns([name for name in self._layout.answer_columns if name in table.column_names])
        for name, (attribute, kind) in zip(self._layout.answer_columns, ANSWER_TYPES.items()):
            column = pa.array([getattr(answer, attribute) for answer in answers], kind)
            table = table.append_column(pa.field(name, kind), column)
        return table

    def _unplaced(self, chunk: Chunk) -> Mapping[int, str]:
        """Rows with a value that the output has no room for; of a column's only standard input can bring one."""
        reasons: dict[int, str] = {}
        for field in chunk.table.schema:
            name, column = field.name, chunk.table.column(field.name)
            if not self._layout.has_room_for(name):
                reason = f"has a value '{name}', a column that the first rows lack: score it from a file"
                reasons.update({at: reason for at, value in enumerate(column.to_pylist()) if value is not None})
                continue
            if not self._layout.holds_bytes(name):
                places = not_utf8(field, column)
                reason = f"column '{name}' is not UTF-8, which only a binary column of a .parquet file can hold"
                reasons.update(dict.fromkeys(places, reason))
        return reasons


def _texts(chunk: Chunk, column: str) -> tuple[list[Any], dict[int, str]]:
    """The texts of a chunk's sound rows, and by their places in it the reasons why some are none."""
    if column not in chunk.table.column_names:
        values: list[Any] = [None] * len(chunk.table)
    else:
        values = [_decoded(value) for value in as_values(chunk.table.field(column), chunk.table.column(column))]
    problems = {place: _problem(value) for place, value in enumerate(values)}
    return values, {place: f"column '{column}' {problem}" for place, problem in problems.items() if problem}


def _decoded(value: Any) -> Any:
    """Text that came as bytes as a str, if it can be."""
    if isinstance(value, bytes):
        with contextlib.suppress(UnicodeDecodeError):
            return value.decode("utf-8")
    return value


def _problem(value: Any) -> Optional[str]:
    if isinstance(value, bytes):
        return "is not UTF-8"
    if value is None or (isinstance(value, str) and not value.strip()):
        return "holds no text"
    if not isinstance(value, str):
        return f"holds a {type(value).__name__}, not text"
    if len(value) > MAX_CHARACTERS:
        return f"holds a text of {len(value):,} characters, and at most {MAX_CHARACTERS:,} are read: cut it"
    return None
