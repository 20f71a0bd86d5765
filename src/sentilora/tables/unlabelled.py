"""Texts whose labels, if they have any, do not matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Union

import numpy as np
import numpy.typing as npt

from sentilora.errors import DataError
from sentilora.tables.columns import TEXT_NAMES, find_column, text_values
from sentilora.tables.labelled import USUAL_COLUMNS, Columns
from sentilora.tables.sources import Source, has_columns, name_of, read_columns, read_labelled


@dataclass(frozen=True)
class UnlabelledTexts:
    """Texts to compare with others.

    Attributes:
        texts: n texts as they were found.
        source: Where the rows come from, for messages.
        rows: int64 [n], where each text stands in the source, counted from 0 over all its rows.
    """

    texts: list[str]
    source: str
    rows: npt.NDArray[np.int64]


def read_unlabelled(source: Source, columns: Columns = USUAL_COLUMNS) -> UnlabelledTexts:
    """Read the texts of anything that `read_labelled` reads, labelled or not. Rows without a text are passed over.

    Raises:
        DataError: There is no such source, or it holds no texts.
        HubError: It is on the Hub, which cannot be reached.
    """
    if not has_columns(source):
        labelled = read_labelled(source)
        return UnlabelledTexts(labelled.texts, labelled.source, labelled.rows)
    table, name = read_columns(source), name_of(source)
    values = text_values(table, find_column(table.column_names, columns.text, TEXT_NAMES, "text", name), name)
    found = {row: text for row, text in enumerate(values) if text is not None and text.strip()}
    if not found:
        raise DataError(f"{name} holds no rows with a text")
    return UnlabelledTexts(list(found.values()), name, np.array(list(found), dtype=np.int64))


def unlabelled_of(texts: Union[UnlabelledTexts, Source, None]) -> Optional[UnlabelledTexts]:
    """Texts that were read already, or are read now; None for none.

    Raises:
        DataError: They cannot be read.
    """
    return texts if texts is None or isinstance(texts, UnlabelledTexts) else read_unlabelled(texts)
