"""The table every labelled source becomes, and the making of it from columns."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sentilora.errors import DataError
from sentilora.labels import sentiment_id

TEXT_NAMES = ("text", "review", "content", "comment", "sentence", "body", "message", "tweet", "document")
_LABEL_NAMES = ("label", "labels", "sentiment", "target", "class", "polarity")


@dataclass(frozen=True)
class Columns:
    """Which columns hold what; None means: look for a usual name (and, for the group, that there is none)."""

    text: Optional[str] = None
    label: Optional[str] = None
    group: Optional[str] = None


USUAL_COLUMNS = Columns()


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their sentiment.

    Attributes:
        texts: n texts as they were found, not cleaned.
        labels: int64 [n], 0 negative, 1 positive.
        groups: n keys; rows that share one belong together. None where no group column was named.
        source: Where the rows come from, for messages.
        dropped: Rows left out while reading, by reason.
    """

    texts: list[str]
    labels: npt.NDArray[np.int64]
    groups: Optional[list[str]]
    source: str
    dropped: dict[str, int]

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.texts)

    def take(self, rows: npt.NDArray[np.int64]) -> LabelledTexts:
        """The rows at these indices, in this order."""
        return LabelledTexts(
            texts=[self.texts[row] for row in rows],
            labels=self.labels[rows],
            groups=None if self.groups is None else [self.groups[row] for row in rows],
            source=self.source,
            dropped=self.dropped,
        )

    def describe(self) -> str:
        """One line: how many of each label, from where, and what was left out."""
        positive = int(self.labels.sum())
        line = f"{len(self):,} texts ({len(self) - positive:,} negative, {positive:,} positive) from {self.source}"
        return line + "".join(f"; {count:,} rows dropped: {reason}" for reason, count in self.dropped.items())


def labelled_from_table(table: pa.Table, columns: Columns, source: str) -> LabelledTexts:
    """Make labelled texts of a table that has a column of texts and one of labels.

    Rows whose text is null or blank are dropped and counted.

    Raises:
        DataError: A column is missing, a label is not one we know, no row is left, or only one label occurs.
    """
    text_name = find_column(table, columns.text, TEXT_NAMES, "text", source)
    label_name = find_column(table, columns.label, _LABEL_NAMES, "label", source)
    if columns.group is not None:
        find_column(table, columns.group, (), "group", source)
    texts = text_values(table, text_name, source)
    filled = [row for row, text in enumerate(texts) if text is not None and text.strip()]
    labels = _label_ids(table.column(label_name).to_pylist(), filled, label_name, source)
    groups = table.column(columns.group).to_pylist() if columns.group is not None else None
    dropped = {f"no text in column '{text_name}'": len(texts) - len(filled)} if len(filled) < len(texts) else {}
    return labelled(
        [texts[row] or "" for row in filled],
        labels,
        source,
        groups=None if groups is None else [_group_key(groups[row], row) for row in filled],
        dropped=dropped,
    )


def labelled(
    texts: list[str],
    labels: Sequence[int],
    source: str,
    groups: Optional[list[str]] = None,
    dropped: Optional[dict[str, int]] = None,
) -> LabelledTexts:
    """Labelled texts that can be trained and measured on.

    Raises:
        DataError: There is no row, or only one label occurs.
    """
    if not texts:
        raise DataError(f"{source} holds no rows with a text")
    ids = np.asarray(labels, dtype=np.int64)
    if ids.min() == ids.max():
        only = "positive" if ids[0] else "negative"
        raise DataError(f"{source} holds only {only} texts: both labels are needed")
    return LabelledTexts(texts, ids, groups, source, dropped or {})


def find_column(table: pa.Table, named: Optional[str], usual: Sequence[str], role: str, source: str) -> str:
    """The name of the column with this role: the one the user named, or the first usual name that is there.

    Raises:
        DataError: There is no such column, with the columns that are there and the flag that names one.
    """
    present = ", ".join(table.column_names)
    if named is not None:
        if named not in table.column_names:
            raise DataError(f"{source} has no column '{named}': it has {present}")
        return named
    by_folded: dict[str, str] = {name.strip().casefold(): name for name in reversed(table.column_names)}
    for name in usual:
        if name in by_folded:
            return by_folded[name]
    raise DataError(f"{source} has no column for the {role}s (it has {present}): name it with --{role}-column")


def text_values(table: pa.Table, name: str, source: str) -> list[Optional[str]]:
    """The texts of a column; null stays None.

    Raises:
        DataError: The column does not hold text.
    """
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_null(column.type):
        return [None] * len(column)
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        raise DataError(f"column '{name}' of {source} is not UTF-8 text: save the file as UTF-8")
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        raise DataError(f"column '{name}' of {source} holds {column.type}, not text")
    values: list[Optional[str]] = column.to_pylist()
    return values


def _group_key(value: object, row: int) -> str:
    """Rows without a group belong with no other row."""
    return f"row {row} has no group" if value is None else str(value)


def _label_ids(values: Sequence[object], rows: Sequence[int], name: str, source: str) -> list[int]:
    ids = []
    for row in rows:
        label = sentiment_id(values[row])
        if label is None:
            raise DataError(
                f"{source}, row {row + 1}, column '{name}': '{values[row]}' is not a label; "
                "use 0/1, neg/pos, negative/positive or false/true"
            )
        ids.append(label)
    return ids
