"""Texts without labels, and writing labelled texts."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Optional

import pyarrow as pa
import pyarrow.parquet

from sentilora.errors import DataError
from sentilora.tables.columns import TEXT_NAMES, find_column, text_values
from sentilora.tables.files import is_table, read_table
from sentilora.tables.inputs import ENDINGS
from sentilora.tables.labelled import LabelledTexts, NoGroup

_logger = logging.getLogger("sentilora")
_OTHER_TABLES = (".gz", ".json", ".ods", ".xls", ".zst")


def read_texts(path: Path, text_column: Optional[str] = None) -> list[str]:
    """Texts to classify: a column of a file of rows, or the lines of any other file.

    Raises:
        DataError: The file is missing or not UTF-8, has no column of texts, or a row has no text.
    """
    if is_table(path):
        table = read_table(path)
        name = find_column(table.column_names, text_column, TEXT_NAMES, "text", str(path))
        values = text_values(table, name, str(path))
        texts = [value for value in values if value is not None]
        if len(texts) < len(values):
            raise DataError(
                f"{path}, row {values.index(None) + 1}: column '{name}' holds no text: fill it in, or use sentilora "
                "score, which lists such rows and goes on"
            )
        if text_column is None and name != "text":
            _logger.info(f"column with the texts: {name}")
        return texts
    if path.suffix.lower() in _OTHER_TABLES:
        raise DataError(f"{path}: tables end in {ENDINGS}; plain text has one text a line")
    try:
        with path.open(encoding="utf-8", newline=None) as file:
            return [line.rstrip("\n") for line in file]  # str.splitlines would also split at U+0085
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not UTF-8 (byte {error.start}): convert it") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}") from None


def write_labelled(data: LabelledTexts, path: Path, group: Optional[str] = None) -> None:
    """Write labelled texts as Parquet: columns `text` and `label`, and their groups, if any, as a column `group`."""
    columns = {"text": pa.array(data.texts, pa.string()), "label": pa.array(data.labels, pa.int8())}
    if group is not None and data.groups is not None:
        keys = [None if isinstance(key, NoGroup) else key for key in data.groups]
        columns.setdefault(group, pa.array(keys, pa.string()))
    pyarrow.parquet.write_table(pa.table(columns), path, compression="zstd")
