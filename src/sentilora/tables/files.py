"""Files of rows: CSV, TSV, JSON lines, Parquet and Excel, also compressed."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Optional

import pyarrow as pa
import pyarrow.csv
import pyarrow.json
import pyarrow.parquet

from sentilora.errors import DataError
from sentilora.tables.encoding import refuse_utf16
from sentilora.tables.excel import read_xlsx

_COMPRESSED = (".gz", ".zst")
_BLOCK = 64 << 20  # bytes; no row may be longer


def read_table(path: Path) -> pa.Table:
    """Read a whole file of rows.

    Raises:
        DataError: The file is missing, of a kind we do not read, empty, malformed, or names two columns alike.
    """
    if not path.is_file():
        raise DataError(f"no file at {path}")
    read = _reader(path)
    if read is None:
        raise DataError(f"{path}: files of rows end in {ENDINGS}")
    try:
        with pa.input_stream(str(path), compression="detect") as stream:
            refuse_utf16(stream.read(2))
        with pa.input_stream(str(path), compression="detect") as stream:
            table = read(stream)
        names = table.column_names
    except UnicodeDecodeError:
        raise DataError(f"{path}: the header is not UTF-8: save it as UTF-8") from None
    except (pa.ArrowException, OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())[:300]}") from None
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise DataError(f"{path} has more than one column called {', '.join(sorted(twice))}: rename one")
    return table


def is_table(path: Path) -> bool:
    """Whether the name of this file says that it holds rows, such as `reviews.csv` or `reviews.jsonl.gz`."""
    return _reader(path) is not None


def _reader(path: Path) -> Optional[Callable[[pa.NativeFile], pa.Table]]:
    name = Path(path.stem) if path.suffix.lower() in _COMPRESSED else path
    return _READERS.get(name.suffix.lower())


def _read_csv(stream: pa.NativeFile) -> pa.Table:
    return _read_delimited(stream, ",")


def _read_tsv(stream: pa.NativeFile) -> pa.Table:
    return _read_delimited(stream, "\t")


def _read_delimited(stream: pa.NativeFile, delimiter: str) -> pa.Table:
    return pyarrow.csv.read_csv(
        stream,
        read_options=pyarrow.csv.ReadOptions(block_size=_BLOCK),
        parse_options=pyarrow.csv.ParseOptions(delimiter=delimiter, newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, null_values=[""]),
    )


def _read_json_lines(stream: pa.NativeFile) -> pa.Table:
    return pyarrow.json.read_json(stream, read_options=pyarrow.json.ReadOptions(block_size=_BLOCK))


def _read_parquet(stream: pa.NativeFile) -> pa.Table:
    return pyarrow.parquet.read_table(pa.BufferReader(stream.read()))


def _read_xlsx(stream: pa.NativeFile) -> pa.Table:
    return read_xlsx(stream.read())


_READERS: dict[str, Callable[[pa.NativeFile], pa.Table]] = {
    ".csv": _read_csv,
    ".tsv": _read_tsv,
    ".jsonl": _read_json_lines,
    ".ndjson": _read_json_lines,
    ".parquet": _read_parquet,
    ".xlsx": _read_xlsx,
}
ENDINGS = f"{', '.join(list(_READERS)[:-1])} or {list(_READERS)[-1]} (or one of them with {' or '.join(_COMPRESSED)})"
