"""Files of rows: CSV, TSV, JSON lines, Parquet and Excel, also compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Callable, Optional

import msgspec
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from sentilora.errors import DataError
from sentilora.tables.columns import column_of
from sentilora.tables.delimiters import delimiter_of
from sentilora.tables.encoding import UTF8_MARK, refuse_utf16
from sentilora.tables.excel import read_xlsx

_COMPRESSED = (".gz", ".zst")
_BLOCK = 64 << 20  # bytes; no row may be longer
_HEADER = 1 << 16  # bytes; no header is longer
_Reader = Callable[[pa.NativeFile, str, Path], pa.Table]  # of a file, from how it starts, by its name for messages
_decode_json = msgspec.json.Decoder(dict[str, Any]).decode


def read_table(path: Path) -> pa.Table:
    """Read a whole file of rows.

    Raises:
        DataError: The file is missing, of a kind we do not read, empty or malformed.
    """
    if not path.is_file():
        raise DataError(f"no file at {path}")
    read = _reader(path)
    if read is None:
        raise DataError(f"{path}: files of rows end in {ENDINGS}")
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            start = stream.read(_HEADER)
            refuse_utf16(start)
        with pa.input_stream(str(path), compression="detect") as stream:
            table = read(stream, start.decode("utf-8", "replace"), path)
        table.column_names  # noqa: B018 - decodes them
        return table
    except UnicodeDecodeError:
        raise DataError(f"{path}: the header is not UTF-8: save it as UTF-8") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from None


def is_table(path: Path) -> bool:
    """Whether the name of this file says that it holds rows, such as `reviews.csv` or `reviews.jsonl.gz`."""
    return _reader(path) is not None


def _reader(path: Path) -> Optional[_Reader]:
    name = Path(path.stem) if path.suffix.lower() in _COMPRESSED else path
    return _READERS.get(name.suffix.lower())


def _read_csv(stream: pa.NativeFile, start: str, path: Path) -> pa.Table:
    return _read_delimited(stream, delimiter_of(next(iter(start.lstrip().splitlines()), ""), str(path)))


def _read_tsv(stream: pa.NativeFile, start: str, path: Path) -> pa.Table:
    return _read_delimited(stream, "\t")


def _read_delimited(stream: pa.NativeFile, delimiter: str) -> pa.Table:
    ragged: list[pyarrow.csv.InvalidRow] = []

    def refuse(row: pyarrow.csv.InvalidRow) -> str:
        ragged.append(row)
        return "error"

    try:
        return pyarrow.csv.read_csv(
            stream,
            read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK, use_threads=False),  # which would lose the numbers
            parse_options=pyarrow.csv.ParseOptions(
                delimiter=delimiter, newlines_in_values=True, invalid_row_handler=refuse
            ),
            convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, null_values=[""]),
        )
    except pa.ArrowInvalid:
        if not ragged:
            raise
        row = ragged[0]
        advice = (
            "close the quotes that it opens" if row.text.count('"') % 2 else f"put texts with '{delimiter}' in quotes"
        )
        raise ValueError(
            f"row {row.number - 1} has {row.actual_columns} cells, and the header {row.expected_columns}: {advice}"
        ) from None


def _read_json_lines(stream: pa.NativeFile, start: str, path: Path) -> pa.Table:
    rows: list[dict[str, Any]] = []
    for line in stream.read().removeprefix(UTF8_MARK).splitlines():
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
        raise ValueError(f"row {number} is not UTF-8: save it as UTF-8") from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise ValueError(f"row {number} is malformed ({error})") from None


def _read_parquet(stream: pa.NativeFile, start: str, path: Path) -> pa.Table:
    return pyarrow.parquet.read_table(pa.BufferReader(stream.read()))


def _read_xlsx(stream: pa.NativeFile, start: str, path: Path) -> pa.Table:
    return read_xlsx(stream.read())


_READERS: dict[str, _Reader] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
    ".xlsx": _read_xlsx,
}
ENDINGS = f"{', '.join(list(_READERS)[:-1])} or {list(_READERS)[-1]} (or one of them with {' or '.join(_COMPRESSED)})"
