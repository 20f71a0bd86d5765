"""Files of rows: CSV, TSV, JSON lines, Parquet and Excel, also compressed."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from typing import Any, BinaryIO, Callable, Optional, Union

import msgspec
import pyarrow as pa
import pyarrow.parquet

from sentilora.errors import DataError, in_one_line
from sentilora.tables.columns import column_of
from sentilora.tables.delimited import read_delimited
from sentilora.tables.encoding import NOT_UTF8, UTF8_MARK, refuse_other_kinds
from sentilora.tables.excel import read_xlsx
from sentilora.tables.inputs import TableName

_Reader = Callable[[TableName, BinaryIO], pa.Table]
_ROWS_AT_A_TIME = 8192  # of which Python holds the cells
_decode_json = msgspec.json.Decoder(dict[str, Any]).decode


def read_table(path: Path) -> pa.Table:
    """Read a whole file of rows. The cells of .csv and .tsv files are texts as written, empty ones null.

    Raises:
        DataError: The file is missing, of a kind we do not read, empty or malformed.
    """
    if not path.is_file():
        raise DataError(f"no file at {path}")
    name = TableName.parse(str(path))
    with name.open() as stream:
        try:
            return _READERS[name.ending](name, stream)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DataError(f"{path} cannot be read: {in_one_line(error)}") from None


def is_table(path: Path) -> bool:
    """Whether the name of this file says that it holds rows, such as `reviews.csv` or `reviews.jsonl.gz`."""
    try:
        TableName.parse(str(path))
    except DataError:
        return False
    return True


def _read_delimited(name: TableName, stream: BinaryIO) -> pa.Table:
    found = read_delimited(name, stream)
    if found is None:
        raise ValueError("it is empty")
    rows = enumerate((record for record in found.records if record), start=1)
    pieces = [found.table([])]
    while group := list(islice(rows, _ROWS_AT_A_TIME)):
        pieces.append(found.table([_sound(number, record) for number, record in group]))
    return pa.concat_tables(pieces)


def _sound(number: int, record: Union[list[str], str]) -> list[Optional[str]]:
    if isinstance(record, str):
        raise ValueError(f"row {number} {record}")
    return [cell or None for cell in record]


def _read_json_lines(name: TableName, stream: BinaryIO) -> pa.Table:
    rows: list[dict[str, Any]] = []
    content = stream.read()
    refuse_other_kinds(content)
    for line in content.removeprefix(UTF8_MARK).splitlines():
        if line.strip():
            rows.append(_json_row(line, len(rows) + 1))
    if not rows:
        raise ValueError("it is empty")
    names = dict.fromkeys(name for row in rows for name in row)
    return pa.table({name: column_of([row.get(name) for row in rows]) for name in names})


def _json_row(line: bytes, number: int) -> dict[str, Any]:
    try:
        return _decode_json(line)
    except msgspec.ValidationError:
        raise ValueError(f'row {number} is not a JSON object, such as {{"text": ..., "label": ...}}') from None
    except UnicodeDecodeError:
        raise ValueError(f"row {number} {NOT_UTF8}") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"row {number} is malformed ({error})") from None


def _read_parquet(name: TableName, stream: BinaryIO) -> pa.Table:
    return pyarrow.parquet.read_table(pa.BufferReader(stream.read()))


def _read_xlsx(name: TableName, stream: BinaryIO) -> pa.Table:
    return read_xlsx(stream.read())


_READERS: dict[str, _Reader] = {
    ".csv": _read_delimited,
    ".tsv": _read_delimited,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
    ".xlsx": _read_xlsx,
}
