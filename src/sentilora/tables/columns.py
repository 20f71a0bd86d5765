"""Columns of a table: finding them by name, and taking texts and labels out of them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, Optional

import pyarrow as pa

from sentilora.config import MAX_CHARACTERS
from sentilora.errors import DataError

# As people call them, without case, spaces, hyphens and underscores; the first that is there is taken.
TEXT_NAMES = (
    *("text", "texts", "review", "reviewtext", "reviewbody", "content", "comment", "commenttext", "sentence", "body"),
    *("message", "tweet", "document", "feedback", "response", "answer"),
)
DATE_NAMES = (
    *("date", "datetime", "timestamp", "createdat", "createdon", "created", "creationdate", "datecreated"),
    *("publishedat", "publisheddate", "published", "postedat", "posted", "postdate", "submittedat", "submitted"),
    *("reviewdate", "dateofreview", "reviewtime", "tweetcreated", "commentdate", "time", "day", "month"),
)
LABEL_NAMES = (
    *("label", "labels", "sentiment", "target", "class", "polarity"),
    *("stars", "starrating", "rating", "ratings", "score", "overall"),
)


_NAMES_SHOWN, _SHOWN_OF_A_NAME = 12, 40
_NULLS = ("NAType", "NaTType")
_NOTHING = ("nan", "null", "none", "n/a", "<na>")


def find_column(names: Sequence[str], named: Optional[str], usual: Sequence[str], role: str, source: str) -> str:
    """The name of the column with this role: the one the user named, or the first usual name that is there.

    Case and blanks around a name are forgiven where one column is meant.

    Raises:
        DataError: There is no such column, with the columns that are there and the flag that names one; or two.
    """
    present = _listed(names)
    found = usual_column(names, usual) if named is None else as_spelt(names, named)
    if found is None:
        raise DataError(
            f"{source} has no column for the {role}s (it has {present}): name it with --{role}-column; "
            "the first row has to hold the names"
        )
    if found not in names:
        raise DataError(f"{source} has no column '{found}': it has {present}")
    if names.count(found) > 1:
        raise DataError(f"{source} has more than one column called {found}: rename one")
    return found


def as_spelt(names: Sequence[str], named: str) -> str:
    """The column that is meant, if it is only one, with its case and blanks; else the name as it is."""
    alike = [name for name in names if name.strip().casefold() == named.strip().casefold()]
    return alike[0] if named not in names and len(alike) == 1 else named


def _listed(names: Sequence[str]) -> str:
    """Names on one line; where a file has no header, its first texts stand for them."""
    shown = [f"'{name}'" if name != name.strip() else " ".join(name.split()) for name in names[:_NAMES_SHOWN]]
    shown = [name[:_SHOWN_OF_A_NAME] for name in shown]
    more = len(names) - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def usual_column(names: Sequence[str], usual: Sequence[str]) -> Optional[str]:
    """The column with the first usual name that is there, however it is spelt; None for none."""
    by_folded = {re.sub(r"[\s_-]", "", name).casefold(): name for name in reversed(names)}
    return next((by_folded[name] for name in usual if name in by_folded), None)


def text_values(table: pa.Table, name: str, source: str) -> list[Optional[str]]:
    """The texts of a column; null stays None.

    Raises:
        DataError: The column does not hold text, or one that is too long.
    """
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        column = pa.chunked_array([pa.array(column.to_pylist())])  # Arrow casts not every kind of dictionary
    if pa.types.is_null(column.type):
        return [None] * len(column)
    if not _holds_text(column.type):
        raise DataError(f"column '{name}' of {source} holds {column.type}, not text")
    values = _decoded(column, name, source)
    for row, value in enumerate(values):
        if value is not None and len(value) > MAX_CHARACTERS:
            raise DataError(
                f"{source}, row {row + 1}: column '{name}' holds a text of {len(value):,} characters; "
                f"at most {MAX_CHARACTERS:,} are read: cut it or leave it out"
            )
    return values


def _decoded(column: pa.ChunkedArray, name: str, source: str) -> list[Optional[str]]:
    """The values of a column of text or bytes.

    Raises:
        DataError: One is not UTF-8.
    """
    try:
        values: list[Optional[str]] = column.cast(pa.large_string()).to_pylist()
    except (UnicodeDecodeError, pa.ArrowInvalid):
        encoded = column.cast(pa.large_binary()).to_pylist()
        row = next((row for row, value in enumerate(encoded) if not is_utf8(value)), 0)
        raise DataError(f"{source}, row {row + 1}: column '{name}' is not UTF-8 text: save it as UTF-8") from None
    return values


def _holds_text(kind: pa.DataType) -> bool:
    """Text, or bytes that may be some."""
    is_bytes = pa.types.is_binary(kind) or pa.types.is_large_binary(kind)
    return bool(is_bytes or any(is_kind(kind) for is_kind in TEXT_KINDS))


def column_of(values: Sequence[object]) -> pa.Array:
    """An Arrow column of Python's values, None and NaN where there are none; of values of several kinds, as text."""
    present = [None if _is_null(value) else value for value in values]
    try:
        return pa.array(present)
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return pa.array([None if value is None else str(value) for value in present], pa.large_string())


def _is_null(value: object) -> bool:
    """Whether it is None, NaN, or one of the values that pandas has for nothing."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or type(value).__name__ in _NULLS


TEXT_KINDS = [
    getattr(pa.types, name) for name in ("is_string", "is_large_string", "is_string_view") if hasattr(pa.types, name)
]


def is_utf8(value: Optional[bytes]) -> bool:
    """Whether bytes are UTF-8; nothing is."""
    try:
        (value or b"").decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def label_values(table: pa.Table, name: str, source: str) -> list[Any]:
    """The values of a label column; by their names where the Datasets library left names in the table.

    Raises:
        DataError: One is not UTF-8.
    """
    column = table.column(name)
    values: list[Any] = _decoded(column, name, source) if _holds_text(column.type) else column.to_pylist()
    names = _class_names(table.schema.metadata or {}, name)
    if names is None:
        return values
    return [names[value] if isinstance(value, int) and 0 <= value < len(names) else value for value in values]


def _class_names(metadata: Mapping[bytes, bytes], column: str) -> Optional[list[str]]:
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][column]
    except (KeyError, TypeError, ValueError):
        return None
    names: Optional[list[str]] = feature.get("names") if feature.get("_type") == "ClassLabel" else None
    return names


def is_missing(value: object) -> bool:
    """Whether a cell holds nothing: null, NaN, or blank."""
    return value is None or (isinstance(value, float) and math.isnan(value)) or not str(value).strip()


def says_nothing(value: object) -> bool:
    """Whether a cell holds what programs write for nothing."""
    return str(value).strip().casefold() in _NOTHING
