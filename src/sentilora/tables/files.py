"""Files of rows: CSV and Parquet."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet

from sentilora.errors import DataError

SUFFIXES = (".csv", ".parquet")


def read_table(path: Path) -> pa.Table:
    """Read a whole file of rows.

    Raises:
        DataError: The file is missing, of a kind we do not read, empty, malformed, or names two columns alike.
    """
    if not path.is_file():
        raise DataError(f"no file at {path}")
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise DataError(f"{path}: files of rows end in {' or '.join(SUFFIXES)}")
    try:
        table = _read_csv(path) if suffix == ".csv" else pyarrow.parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    twice = {name for name in table.column_names if table.column_names.count(name) > 1}
    if twice:
        raise DataError(f"{path} has more than one column called {', '.join(sorted(twice))}: rename one")
    return table


def _read_csv(path: Path) -> pa.Table:
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, null_values=[""]),
    )
