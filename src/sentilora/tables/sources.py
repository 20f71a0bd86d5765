"""One door for labelled data: what the user calls it decides who reads it."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any, Literal, Optional, Protocol, Union

import pyarrow as pa

from sentilora.errors import DataError, in_one_line
from sentilora.paths import local_path
from sentilora.tables.aclimdb import holds_reviews, read_aclimdb
from sentilora.tables.bundled import read_bundled
from sentilora.tables.columns import column_of
from sentilora.tables.files import is_table, read_table
from sentilora.tables.hub_dataset import HubDataset
from sentilora.tables.inputs import ENDINGS
from sentilora.tables.labelled import USUAL_COLUMNS, Columns, LabelledTexts, labelled_from_table

_IMDB = {  # Maas et al., 2011
    "imdb": HubDataset("stanfordnlp/imdb", "plain_text", "train"),
    "imdb:test": HubDataset("stanfordnlp/imdb", "plain_text", "test"),
}
_BUNDLED: dict[str, Literal["train", "test"]] = {"bundled": "train", "bundled:test": "test"}
_NO_DATA_SETS = (".bz2", ".gz", ".json", ".ods", ".txt", ".xls", ".zip", ".zst")  # files of other kinds, not of the Hub
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
    if has_columns(source):
        return labelled_from_table(read_columns(source), columns, name_of(source))
    name = name_of(source)
    if name in _BUNDLED:
        _refuse_columns(name, replace(columns, group=None))
        return read_bundled(_BUNDLED[name], columns.group)
    folder = local_path(name)
    if not holds_reviews(folder):
        raise DataError(f"{name} is not an aclImdb folder: it has no neg/ and pos/ inside, nor a train/ with them")
    _refuse_columns(name, columns)
    return read_aclimdb(folder)


def name_of(source: object) -> str:
    """What messages call a source."""
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else FROM_PYTHON


def has_columns(source: Source) -> bool:
    """Whether it is a table whose columns are to be found; the bundled reviews and folders are none."""
    if not isinstance(source, (str, os.PathLike)):
        return True
    name = os.fspath(source)
    is_folder = os.path.isdir(local_path(name))  # noqa: PTH112 - of a name that is too long, it says no
    return name in _IMDB or not (name in _BUNDLED or is_folder)


def read_columns(source: Source) -> pa.Table:
    """The whole table of a source that has columns.

    Raises:
        DataError: There is no such source, or it cannot be read.
        HubError: It is on the Hub, which cannot be reached.
    """
    if not isinstance(source, (str, os.PathLike)):
        return arrow_table(source)
    name = os.fspath(source)
    path = local_path(name)
    if is_table(path):
        return read_table(path)
    dataset = hub_dataset_of(name)
    if dataset is None:
        raise DataError(
            f"no data called '{' '.join(name.split())[:100]}': name bundled or imdb (or their :test part), an aclImdb "
            f"folder, a file that ends in {ENDINGS}, or a data set of the Hub as owner/name"
        )
    return dataset.read()


def hub_dataset_of(name: str) -> Optional[HubDataset]:
    """The data set of the Hub that a source's name means; None for anything else."""
    if name in _IMDB:
        return _IMDB[name]
    path = local_path(name)
    here = is_table(path) or path.suffix.lower() in _NO_DATA_SETS or os.path.exists(path)  # noqa: PTH110 - the same
    return None if here else HubDataset.parse(name)


def _refuse_columns(name: str, columns: Columns) -> None:
    if columns != USUAL_COLUMNS:
        raise DataError(
            f"{name} has no columns to choose and no labels to map: --text-column, --label-column, --group-column and "
            "--label-map are for files, data sets of the Hub and data frames"
        )


def is_frame(data: object) -> bool:
    """Whether it gives itself as an Arrow table with columns, as a Series, which is one column, does not."""
    return hasattr(data, "with_format") or (
        hasattr(data, "__arrow_c_stream__") and len(getattr(data, "shape", (0, 0))) == 2
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
    if not is_frame(frame):
        raise DataError(f"data of type {type(frame).__name__}: give a name, a path, or a pandas, polars or Arrow table")
    try:
        return _of_pandas(frame) if hasattr(frame, "iloc") else pa.table(frame)
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise DataError(f"{FROM_PYTHON} cannot be read: {in_one_line(error)}") from None


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
