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
        DataError: The file is missing, of a kind we do not read, empty, or malformed.
    """
    if not path.is_file():
        raise DataError(f"no file at {path}")
    try:
        if path.suffix.lower() == ".csv":
            return _read_csv(path)
        if path.suffix.lower() == ".parquet":
            return pyarrow.parquet.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{path} cannot be read: {' '.join(str(error).split())}") from None
    raise DataError(f"{path}: files of rows end in {' or '.join(SUFFIXES)}")


def _read_csv(path: Path) -> pa.Table:
    return pyarrow.csv.read_csv(
        path,
        parse_options=pyarrow.csv.ParseOptions(newlines_in_values=True),
        convert_options=pyarrow.csv.ConvertOptions(strings_can_be_null=True, null_values=[""]),
    )
