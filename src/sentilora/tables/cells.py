"""Single values of a column as text, as JSON, or as another type, without a change in what they say."""

from __future__ import annotations

import json
from typing import Any, Optional

import msgspec
import pyarrow as pa

from sentilora.tables.columns import TEXT_KINDS, is_utf8

# A column of JSON lines holds the JSON text of its values, so that 1.10 stays 1.10 and null is not "no value".
JSON_FIELD = pa.field("", pa.large_string(), metadata={b"sentilora": b"json"})


def is_json(field: pa.Field) -> bool:
    """Whether the column holds JSON texts."""
    return bool(field.metadata and field.metadata.get(b"sentilora") == b"json")


def is_text(kind: pa.DataType) -> bool:
    """Whether a column of this type holds texts."""
    return any(is_kind(kind) for is_kind in TEXT_KINDS)


def holds_texts(kind: pa.DataType) -> bool:
    """Whether texts can be read out of a column of this type."""
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    return is_text(kind) or pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_null(kind)


def not_utf8(field: pa.Field, column: pa.ChunkedArray) -> list[int]:
    """Which values of a column of texts or bytes, or of records and lists of them, are not UTF-8."""
    if pa.types.is_nested(field.type):
        return _not_decoded(column)
    if pa.types.is_dictionary(field.type):
        column = column.cast(field.type.value_type)
    if is_json(field) or not (is_text(column.type) or any(is_kind(column.type) for is_kind in _BYTES)):
        return []
    encoded = column.cast(pa.large_binary())
    try:
        encoded.cast(pa.large_string())
    except pa.ArrowInvalid:
        return [place for place, value in enumerate(encoded.to_pylist()) if not is_utf8(value)]
    return []


def _not_decoded(column: pa.ChunkedArray) -> list[int]:
    """Which lists or records Python cannot have, for a text in them that is not UTF-8."""

    def fails(values: Any) -> bool:
        try:
            values.to_pylist() if isinstance(values, pa.ChunkedArray) else values.as_py()
        except UnicodeDecodeError:
            return True
        return False

    return [place for place, value in enumerate(column) if fails(value)] if fails(column) else []


_BYTES = (pa.types.is_binary, pa.types.is_large_binary, pa.types.is_fixed_size_binary)


def as_values(field: pa.Field, column: pa.ChunkedArray) -> list[Any]:
    """Values as Python has them; texts as bytes where one of them is not UTF-8."""
    if is_json(field):
        return [None if cell is None else json.loads(cell, parse_int=float) for cell in column.to_pylist()]
    if pa.types.is_dictionary(field.type):
        column = column.cast(field.type.value_type)
    try:
        values: list[Any] = column.to_pylist()
    except UnicodeDecodeError:
        values = column.cast(pa.large_binary()).to_pylist()
    return values


def as_texts(field: pa.Field, column: pa.ChunkedArray) -> list[Optional[str]]:
    """Values as a spreadsheet shows them: texts without quotes, null as None, lists and records as JSON."""
    if is_json(field):
        return [None if cell is None else _text_of_json(cell) for cell in column.to_pylist()]
    if pa.types.is_nested(field.type):
        return [None if value is None else _encoded(value) for value in column.to_pylist()]
    try:
        texts: list[Optional[str]] = column.cast(pa.large_string()).to_pylist()
    except (pa.ArrowException, UnicodeDecodeError):
        return [None if value is None else _decoded(value) for value in column.to_pylist()]
    return texts


def as_json(field: pa.Field, column: pa.ChunkedArray) -> list[Optional[bytes]]:
    """Values as JSON texts; None where a line of JSON had no such value."""
    if is_json(field):
        return [None if cell is None else cell.encode() for cell in column.to_pylist()]
    plain = any(kind(field.type) for kind in (pa.types.is_integer, pa.types.is_floating, pa.types.is_boolean))
    values = column.to_pylist() if plain or pa.types.is_nested(field.type) else as_texts(field, column)
    return [_encoded(value).encode() for value in values]


def as_type(field: pa.Field, column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """The column as another type, which `kinds.Kind` chose: one that holds its values."""
    if not is_json(field) and not (is_text(kind) and not is_text(field.type)):
        return column.cast(kind)
    if is_text(kind):
        return pa.chunked_array([pa.array(as_texts(field, column), kind)])
    values = [None if cell is None else json.loads(cell) for cell in column.to_pylist()]
    return pa.chunked_array([pa.array(values, kind)])


def _text_of_json(cell: str) -> Optional[str]:
    if cell.startswith('"'):
        return msgspec.json.decode(cell, type=str)
    return None if cell == "null" else cell


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value, enc_hook=str).decode()


def _decoded(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
