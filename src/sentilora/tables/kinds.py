"""Which Arrow type holds all values of a column that is seen some rows at a time, without a change in any of them."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Optional

import pyarrow as pa
import pyarrow.compute

from sentilora.tables.cells import holds_texts, is_json, is_text

_INT64 = range(-(2**63), 2**63)
_INT64_DIGITS = 20
_EXACT_FLOATS = range(-(2**53), 2**53 + 1)


@dataclass(frozen=True)
class Kind:
    """What a column holds; `one | other` is what both hold, in any order.

    Attributes:
        type: Holds every value exactly.
        long: Whether an integer among them is one that a float64 does not hold.
        mixed: Whether they are text only because no other type holds them all.
    """

    type: pa.DataType
    long: bool = False
    mixed: bool = False

    def __or__(self, other: Kind) -> Kind:
        """The kind of a column with the values of both."""
        long = self.long or other.long
        kind = _common(self.type, other.type, long)
        agree = all(holds_texts(each.type) for each in (self, other))
        return Kind(kind, long, self.mixed or other.mixed or (is_text(kind) and not agree))


NONE = Kind(pa.null())


def kind_of(field: pa.Field, column: pa.ChunkedArray) -> Kind:
    """The kind of a column, of JSON texts the one of the values that they stand for."""
    if is_json(field):
        return _kind_of_json(column.to_pylist())
    if field.type not in (pa.int64(), pa.uint64()):
        return Kind(field.type)
    ends = pyarrow.compute.min_max(column).as_py().values()
    return Kind(field.type, long=any(end is not None and end not in _EXACT_FLOATS for end in ends))


def _common(one: pa.DataType, other: pa.DataType, long: bool) -> pa.DataType:
    if one.equals(other) or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    both = (one, other)
    if all(map(pa.types.is_integer, both)):
        if pa.uint64() in both and any(map(pa.types.is_signed_integer, both)):
            return pa.large_string()
        schemas = [pa.schema([("", kind)]) for kind in both]
        return pa.unify_schemas(schemas, promote_options="permissive").field(0).type
    if not long and all(pa.types.is_integer(kind) or kind in (pa.float32(), pa.float64()) for kind in both):
        return pa.float64()
    return pa.large_string()


def _kind_of_json(cells: Iterable[Optional[str]]) -> Kind:
    """Text for a mixture, lists and records; null for no value."""
    found = {_of_json_cell(cell) for cell in cells if cell is not None} - {"null"}
    if not found:
        return NONE
    long = "long" in found
    if found == {"bool"}:
        return Kind(pa.bool_())
    if found <= {"int", "long"}:
        return Kind(pa.int64(), long)
    if found <= {"int", "float"}:
        return Kind(pa.float64())
    return Kind(pa.large_string(), long, mixed=found != {"text"})


def _of_json_cell(cell: str) -> str:
    if cell in ("true", "false"):
        return "bool"
    if cell == "null":
        return "null"
    if cell[0] in '"[{':
        return "text"
    if any(mark in cell for mark in ".eE"):
        return "huge" if math.isinf(float(cell)) else "float"
    if len(cell) > _INT64_DIGITS or int(cell) not in _INT64:
        return "huge"
    return "int" if int(cell) in _EXACT_FLOATS else "long"
