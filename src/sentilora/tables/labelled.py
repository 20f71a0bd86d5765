"""The table every labelled source becomes, and the making of it from columns."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sentilora.errors import DataError
from sentilora.labels import SENTIMENT, LabelMap, parse_mapping, sentiment_id
from sentilora.tables.columns import (
    LABEL_NAMES,
    TEXT_NAMES,
    find_column,
    is_missing,
    label_values,
    says_nothing,
    text_values,
)


@dataclass(frozen=True)
class Columns:
    """Which columns hold what, and what the labels mean.

    Attributes:
        text: Name of the column; None looks for a usual name.
        label: The same.
        group: Name of the column; None means there is none.
        label_map: What the values of the label column mean, also as a plain mapping such as `{"1-2": "negative", "4-5":
            "positive"}`; None takes them as people usually write them.
    """

    text: Optional[str] = None
    label: Optional[str] = None
    group: Optional[str] = None
    label_map: Optional[LabelMap] = None

    def __post_init__(self) -> None:
        """Take a plain mapping, or one as the command line has it, for the label map that it means."""
        if isinstance(self.label_map, str):
            object.__setattr__(self, "label_map", LabelMap.parse(parse_mapping(self.label_map)))
        if isinstance(self.label_map, Mapping):
            object.__setattr__(
                self, "label_map", LabelMap.parse({str(value): meaning for value, meaning in self.label_map.items()})
            )


USUAL_COLUMNS = Columns()


@dataclass(frozen=True)
class LabelledTexts:
    """Texts with their sentiment.

    Attributes:
        texts: n texts as they were found, not cleaned.
        labels: int64 [n], 0 negative, 1 positive.
        groups: n keys; rows that share one belong together, and that of a row without a group is a `NoGroup`. None
            where no group column was named.
        source: Where the rows come from, for messages.
        dropped: Rows of the source left out on the way to these, by reason; none where these are one side of a split,
            which says it for both.
        rows: int64 [n], where each text stands in the source, counted from 0 over all its rows.
        columns: Names of the columns with the texts and with the labels; None where the source has none.
    """

    texts: list[str]
    labels: npt.NDArray[np.int64]
    groups: Optional[list[str]]
    source: str
    dropped: dict[str, int]
    rows: npt.NDArray[np.int64]
    columns: Optional[tuple[str, str]] = None

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.texts)

    def take(self, rows: npt.NDArray[np.int64]) -> LabelledTexts:
        """The rows at these indices, in this order; the others do not count as dropped, nor what was before."""
        return LabelledTexts(
            texts=[self.texts[row] for row in rows],
            labels=self.labels[rows],
            groups=None if self.groups is None else [self.groups[row] for row in rows],
            source=self.source,
            dropped={},
            rows=self.rows[rows],
            columns=self.columns,
        )

    def only(self, rows: Sequence[int], reason: str) -> LabelledTexts:
        """The rows at these indices; the others count as dropped for `reason`.

        Raises:
            DataError: No row is left, or only one label.
        """
        if len(rows) == len(self):
            return self
        kept = self.take(np.asarray(rows, dtype=np.int64))
        dropped = {**self.dropped, reason: len(self) - len(rows)}
        return labelled(kept.texts, kept.labels.tolist(), self.source, kept.groups, dropped, kept.rows, self.columns)

    def describe(self) -> str:
        """One line: how many of each label, from where, and what was left out."""
        positive = int(self.labels.sum())
        line = f"{len(self):,} texts ({len(self) - positive:,} negative, {positive:,} positive) from {self.source}"
        if self.columns not in (None, ("text", "label")):
            line += ", columns '{}' and '{}'".format(*self.columns)
        return line + self.describe_dropped()

    def describe_dropped(self) -> str:
        """What was left out, to go on a line with; empty for nothing."""
        return _in_words(self.dropped)


def _in_words(dropped: Mapping[str, int]) -> str:
    return "".join(f"; {count:,} rows dropped: {reason}" for reason, count in dropped.items())


def labelled_from_table(table: pa.Table, columns: Columns, source: str) -> LabelledTexts:
    """Make labelled texts of a table that has a column of texts and one of labels.

    Rows without a text or without a label are dropped and counted, and so are those whose label `columns.label_map`
    leaves out.

    Raises:
        DataError: A column is missing, a label is not one we know, no row is left, or only one label occurs.
    """
    text_name = find_column(table.column_names, columns.text, TEXT_NAMES, "text", source)
    label_name = find_column(table.column_names, columns.label, LABEL_NAMES, "label", source)
    group_name = None if columns.group is None else find_column(table.column_names, columns.group, (), "group", source)
    texts = text_values(table, text_name, source)
    values = label_values(table, label_name, source)
    with_text = [row for row, text in enumerate(texts) if text is not None and text.strip()]
    with_label = [row for row in with_text if not _is_no_label(values[row], columns.label_map)]
    ids = {row: _label_id(values[row], columns.label_map) for row in with_label}
    dropped = {
        f"no text in column '{text_name}'": len(texts) - len(with_text),
        f"no label in column '{label_name}'": len(with_text) - len(with_label),
    }
    rows = [row for row in with_label if ids[row] is not None]
    if len(rows) < len(with_label):
        unmapped = [(row, values[row]) for row in with_label if ids[row] is None]
        if columns.label_map is None or not rows:
            problem = _what_is_no_label(*unmapped[0], label_name, source, columns.label_map)
            raise DataError(problem + _example_of([values[row] for row in with_label]) * (columns.label_map is None))
        dropped[f"labels that the map leaves out ({_some([value for _, value in unmapped])})"] = len(unmapped)
    groups = None if group_name is None else table.column(group_name).to_pylist()
    return labelled(
        [texts[row] or "" for row in rows],
        [ids[row] or 0 for row in rows],
        source,
        groups=None if groups is None else [_group_key(groups[row], row) for row in rows],
        dropped={reason: count for reason, count in dropped.items() if count},
        rows=np.array(rows, dtype=np.int64),
        columns=(text_name, label_name),
    )


def labelled(
    texts: list[str],
    labels: Sequence[int],
    source: str,
    groups: Optional[list[str]] = None,
    dropped: Optional[dict[str, int]] = None,
    rows: Optional[npt.NDArray[np.int64]] = None,
    columns: Optional[tuple[str, str]] = None,
) -> LabelledTexts:
    """Labelled texts that can be trained and measured on.

    Raises:
        DataError: There is no row, or only one label occurs.
    """
    why = _in_words(dropped or {})
    if not texts:
        raise DataError(f"{source} holds no row with a text and a label{why}")
    ids = np.asarray(labels, dtype=np.int64)
    if ids.min() == ids.max():
        only = "positive" if ids[0] else "negative"
        raise DataError(f"{source} holds only {only} texts: both labels are needed{why}")
    rows = np.arange(len(texts)) if rows is None else rows
    return LabelledTexts(texts, ids, groups, source, dropped or {}, rows, columns)


def _is_no_label(value: object, label_map: Optional[LabelMap]) -> bool:
    return is_missing(value) or (says_nothing(value) and _label_id(value, label_map) is None)


def _label_id(value: object, label_map: Optional[LabelMap]) -> Optional[int]:
    return sentiment_id(value) if label_map is None else label_map.label_id(value)


def _what_is_no_label(row: int, value: object, name: str, source: str, label_map: Optional[LabelMap]) -> str:
    problem = f"{source}, row {row + 1}, column '{name}': '{_shown(value)}' is "
    if label_map is not None:
        return f"{problem}not in the label map, nor is any other label: mend --label-map"
    return f"{problem}not a label; use 0/1, neg/pos, negative/positive or false/true, or say what is what, such as "


def _example_of(values: Sequence[object]) -> str:
    """A label map for these values, as far as they are understood; stars for others."""
    different = {_shown(value): sentiment_id(value) for value in values}
    known = [f"{value}={SENTIMENT.names[label]}" for value, label in different.items() if label is not None][:4]
    words = ",".join(known) if len({each.partition("=")[2] for each in known}) == len(SENTIMENT) else ""
    return f'--label-map "{words or "1-2=negative,4-5=positive"}", which drops rows with other labels'


def _some(values: Sequence[object]) -> str:
    """The first few different values."""
    different = list(dict.fromkeys(map(_shown, values)))
    return ", ".join(different[:5]) + (", ..." if len(different) > 5 else "")


def _shown(value: object) -> str:
    return " ".join(str(value).split())[:40]


class NoGroup(str):
    """The key of a row without a group, which belongs with no other row."""

    __slots__ = ()


def _group_key(value: object, row: int) -> str:
    return NoGroup(f"row {row} has no group") if is_missing(value) else str(value)
