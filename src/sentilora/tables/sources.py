"""One door for labelled data: what the user calls it decides who reads it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, Protocol, Union

import pyarrow as pa

from sentilora.errors import DataError
from sentilora.tables.aclimdb import holds_reviews, read_aclimdb
from sentilora.tables.bundled import read_bundled
from sentilora.tables.columns import column_of
from sentilora.tables.files import ENDINGS, is_table, read_table
from sentilora.tables.hub_dataset import HubDataset
from sentilora.tables.labelled import USUAL_COLUMNS, Columns, LabelledTexts, labelled_from_table

_IMDB = {  # Maas et al., 2011
    "imdb": HubDataset("stanfordnlp/imdb", "plain_text", "train"),
    "imdb:test": HubDataset("stanfordnlp/imdb", "plain_text", "test"),
}
FROM_PYTHON = "a table from Python"


class SupportsArrow(Protocol):
    """A table that gives itself as Arrow: a pandas, polars or DuckDB frame, or a `pyarrow.Table`."""

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:  # noqa: D105 - the protocol's own
        ...


Source = Union[str, "os.PathLike[str]", SupportsArrow]


def read_labelled(source: Source, columns: Columns = USUAL_COLUMNS) -> LabelledTexts:
    """Read labelled texts.

    Args:
        source: `bundled` or `imdb` (their training part; `bundled:test` and `imdb:test` are their test parts); an
            `aclImdb` folder or one of its splits; a .csv, .tsv, .jsonl, .parquet or .xlsx file, also compressed; a data
            set of the Hub, `owner/name[/config][:split]`; or a data frame.
        columns: Which columns hold what, and what the labels mean; not for aclImdb folders, nor, but for the group,
            for the bundled reviews.

    Raises:
        DataError: There is no such source, or it does not hold texts of both labels.
        HubError: It is on the Hub, which cannot be reached.
    """
    if not isinstance(source, (str, os.PathLike)):
        return labelled_from_table(arrow_table(source), columns, FROM_PYTHON)
    name = os.fspath(source)
    path = Path(name)
    if name in ("bundled", "bundled:test"):
        _refuse_columns(name, replace(columns, group=None))
        return read_bundled("test" if name.endswith(":test") else "train", columns.group)
    if name in ("imdb", "imdb:test"):
        return labelled_from_table(_IMDB[name].read(), columns, name)
    if path.is_dir():
        if not holds_reviews(path):
            raise DataError(f"{path} is not an aclImdb folder: it has no neg/ and pos/ inside, nor a train/ with them")
        _refuse_columns(name, columns)
        return read_aclimdb(path)
    if is_table(path):
        return labelled_from_table(read_table(path), columns, name)
    dataset = HubDataset.parse(name)
    if dataset is None or path.exists():
        raise DataError(
            f"no data called '{name}': name bundled or imdb (or their :test part), an aclImdb folder, a file that ends "
            f"in {ENDINGS}, or a data set of the Hub as owner/name"
        )
    return labelled_from_table(dataset.read(), columns, name)


def _refuse_columns(name: str, columns: Columns) -> None:
    if columns != USUAL_COLUMNS:
        raise DataError(
            f"{name} has no columns to choose and no labels to map: --text-column, --label-column, --group-column and "
            "--label-map are for files, data sets of the Hub and data frames"
        )


def arrow_table(frame: SupportsArrow) -> pa.Table:
    """A data frame as Arrow.

    Raises:
        DataError: It is none, or holds what Arrow cannot.
    """
    if isinstance(frame, dict):  # a datasets.DatasetDict among them
        parts = ", ".join(map(str, frame))
        raise DataError(f"data of type {type(frame).__name__} with {parts}: give one table, such as one of its parts")
    if hasattr(frame, "with_format"):  # a datasets.Dataset
        frame = frame.with_format("arrow")[:]
    if not hasattr(frame, "__arrow_c_stream__"):
        raise DataError(f"data of type {type(frame).__name__}: give a name, a path, or a pandas, polars or Arrow table")
    try:
        return _of_pandas(frame) if hasattr(frame, "iloc") else pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"{FROM_PYTHON} cannot be read: {' '.join(str(error).split())[:300]}") from None


def _of_pandas(frame: Any) -> pa.Table:
    """A pandas frame as Arrow, column by column: one of several kinds of values, which Arrow refuses, becomes text."""
    columns = []
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        try:
            columns.append(pa.array(column, from_pandas=True))
        except (pa.ArrowException, TypeError, ValueError):
            columns.append(column_of(column.tolist()))
    return pa.Table.from_arrays(columns, names=[str(name) for name in frame.columns])
