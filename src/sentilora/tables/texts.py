"""Texts without labels, and writing labelled texts."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import pyarrow as pa
import pyarrow.parquet

from sentilora.errors import DataError
from sentilora.tables.files import SUFFIXES, read_table
from sentilora.tables.labelled import TEXT_NAMES, LabelledTexts, find_column, text_values

_OTHER_TABLES = (".gz", ".json", ".jsonl", ".ods", ".tsv", ".xls", ".xlsx", ".zst")


def read_texts(path: Path, text_column: Optional[str] = None) -> list[str]:
    """Texts to classify: a column of a .csv or .parquet file, or the lines of any other file.

    Raises:
        DataError: The file is missing or not UTF-8, has no column of texts, or a row has no text.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        table = read_table(path)
        name = find_column(table, text_column, TEXT_NAMES, "text", str(path))
        values = text_values(table, name, str(path))
        texts = [value for value in values if value is not None]
        if len(texts) < len(values):
            raise DataError(f"{path}, row {values.index(None) + 1}: column '{name}' holds no text")
        return texts
    if suffix in _OTHER_TABLES:
        raise DataError(f"{path} is a table: save it as {' or '.join(SUFFIXES)}, or as plain text with one text a line")
    try:
        with path.open(encoding="utf-8", newline=None) as file:
            return [line.rstrip("\n") for line in file]  # str.splitlines would also split at U+0085
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}): convert it") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def write_labelled(data: LabelledTexts, path: Path) -> None:
    """Write labelled texts as Parquet, with columns `text` and `label`."""
    table = pa.table({"text": pa.array(data.texts, pa.string()), "label": pa.array(data.labels, pa.int8())})
    pyarrow.parquet.write_table(table, path, compression="zstd")
