"""Rows that `sentilora score` wrote, read some at a time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Optional, Union

import pyarrow as pa

from sentilora.errors import DataError
from sentilora.tables.cells import as_texts
from sentilora.tables.columns import DATE_NAMES, TEXT_NAMES, as_spelt, find_column, usual_column
from sentilora.tables.inputs import TableName
from sentilora.tables.sources import FROM_PYTHON, SupportsArrow, arrow_table
from sentilora.tables.streaming import read_chunks

ANSWER_TYPES = {
    "sentiment": pa.string(),
    "p_positive": pa.float64(),
    "confidence": pa.float64(),
    "truncated": pa.bool_(),
}
SUFFIX = "_predicted"  # of an answer's column where the input has one of that name
REJECTS = ".rejects.jsonl"  # ends the name of the list of rows that could not be scored, beside the scored ones

_ROWS = 4096  # at a time


@dataclass(frozen=True)
class ScoredColumns:
    """Which columns of scored rows are wanted beside the answers.

    Attributes:
        text: Name of the column; None looks for a usual name.
        date: The same; where no usual name is there either, there are no dates.
        by: Names of columns to group by.
    """

    text: Optional[str] = None
    date: Optional[str] = None
    by: tuple[str, ...] = ()


@dataclass(frozen=True)
class ScoredRows:
    """Consecutive rows of one source.

    Attributes:
        texts: n texts as they were found; None for none.
        sentiments: n names of labels, `uncertain` among them; None for none.
        p_positive: n probabilities, in [0, 1]; None for none.
        date_column: Where the dates are from; None where there is none.
        dates: n dates as they are written; None for none.
        groups: n values for each column to group by; None for none.
        broken: How many rows beside them could not be read.
    """

    texts: list[Optional[str]]
    sentiments: list[Optional[str]]
    p_positive: list[Optional[float]]
    date_column: Optional[str]
    dates: list[Optional[str]]
    groups: dict[str, list[Optional[str]]]
    broken: int


def read_scored(source: Union[TableName, SupportsArrow], columns: ScoredColumns) -> Iterator[ScoredRows]:
    """Read scored rows in order.

    Args:
        source: A file that `sentilora score` wrote, or a data frame made of one.
        columns: What is wanted of it.

    Raises:
        DataError: The source cannot be read, or lacks a column.
    """
    name = source.name if isinstance(source, TableName) else FROM_PYTHON
    varies = isinstance(source, TableName) and source.holds_json  # whose columns may come late
    seen: list[str] = []
    roles: Optional[_Roles] = None
    for table, broken in _tables(source):
        late = [column for column in table.column_names if column not in seen] if len(table) else []
        if late:
            seen += late
            if not varies:
                _refuse_absent(seen, columns, name)
            roles = _Roles.of(seen, columns, name)
        yield ScoredRows([], [], [], None, [], {}, broken) if roles is None else roles.take(table, broken)
    if seen:
        _refuse_absent(seen, columns, name)


def _refuse_absent(present: Sequence[str], columns: ScoredColumns, source: str) -> None:
    for wanted, role in (*((each, "group") for each in columns.by), (columns.date, "date")):
        if wanted is not None:
            find_column(present, wanted, (), role, source)


@dataclass(frozen=True)
class _Roles:
    """Which column of a source holds what."""

    text: str
    sentiment: str
    p_positive: str
    date: Optional[str]
    by: Mapping[str, str]

    @classmethod
    def of(cls, present: Sequence[str], columns: ScoredColumns, source: str) -> _Roles:
        """Of the columns that were seen so far."""
        return cls(
            find_column(present, columns.text, TEXT_NAMES, "text", source),
            _answer_column(present, "sentiment", source),
            _answer_column(present, "p_positive", source),
            usual_column(present, DATE_NAMES) if columns.date is None else as_spelt(present, columns.date),
            {name: as_spelt(present, name) for name in columns.by},
        )

    def take(self, table: pa.Table, broken: int) -> ScoredRows:
        def texts(name: Optional[str]) -> list[Optional[str]]:
            if name not in table.column_names:  # a line of JSON need not have every member
                return [None] * len(table)
            return [value or None for value in as_texts(table.schema.field(name), table.column(name))]

        return ScoredRows(
            texts=texts(self.text),
            sentiments=texts(self.sentiment),
            p_positive=[_probability(value) for value in texts(self.p_positive)],
            date_column=self.date,
            dates=texts(self.date),
            groups={name: texts(spelt) for name, spelt in self.by.items()},
            broken=broken,
        )


def _tables(source: Union[TableName, SupportsArrow]) -> Iterator[tuple[pa.Table, int]]:
    """Rows, and how many beside them were broken."""
    if isinstance(source, TableName):
        for chunk in read_chunks(source, _ROWS):
            yield chunk.table, len(chunk.broken)
        return
    table = arrow_table(source)
    for start in range(0, max(len(table), 1), _ROWS):
        yield table.slice(start, _ROWS), 0


def _answer_column(present: Sequence[str], name: str, source: str) -> str:
    for candidate in (name + SUFFIX, name):
        if candidate in present:
            return candidate
    raise DataError(f"{source} has no column '{name}': name a file that `sentilora score` wrote")


def _probability(written: Optional[str]) -> Optional[float]:
    try:
        value = math.nan if written is None else float(written)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None
