"""Excel workbooks with one sheet of rows under a row of names."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Union

import pyarrow as pa
from python_calamine import CalamineError, CalamineWorkbook, SheetVisibleEnum


class EmptyWorkbookError(ValueError):
    """No sheet holds anything."""


def read_xlsx(content: bytes) -> pa.Table:
    """The rows of the only visible sheet that holds any; empty cells become null.

    A column of numbers, truths or texts keeps its type; a mixed one, and dates, become text.

    Raises:
        EmptyWorkbookError: No sheet holds any rows.
        ValueError: It is not a workbook, or more than one sheet holds rows.
    """
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(content))
        names = [sheet.name for sheet in workbook.sheets_metadata if sheet.visible == SheetVisibleEnum.Visible]
        sheets = {name: workbook.get_sheet_by_name(name).to_python() for name in names}
    except CalamineError as error:
        raise ValueError(f"not an Excel workbook: {error}") from None
    filled = {name: rows for name, rows in sheets.items() if rows}
    if not filled:
        raise EmptyWorkbookError("no sheet of the workbook holds any rows")
    if len(filled) > 1:
        raise ValueError(f"more than one sheet holds rows ({', '.join(filled)}): save the one you mean as CSV")
    (header, *rows) = next(iter(filled.values()))
    columns = [_column([row[place] for row in rows]) for place in range(len(header))]
    return pa.Table.from_arrays(columns, names=[str(name).strip() for name in header])


def _column(cells: Sequence[object]) -> pa.Array:
    values = [None if cell == "" else cell for cell in cells]
    kinds = {type(value) for value in values if value is not None}
    values = [_whole(value) if isinstance(value, float) else value for value in values]
    if kinds <= {int, float} or kinds in ({bool}, {str}):
        return pa.array(values)
    return pa.array([None if value is None else str(value) for value in values], pa.string())


def _whole(value: float) -> Union[int, float]:
    """A number without a fraction as an int; Excel knows no other numbers than floats, exact up to 2**53."""
    return int(value) if abs(value) < 2**53 and value.is_integer() else value
