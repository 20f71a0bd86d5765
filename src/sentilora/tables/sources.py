"""One door for labelled data: what the user calls it decides who reads it."""

from __future__ import annotations

from pathlib import Path

from sentilora.errors import DataError
from sentilora.tables.aclimdb import holds_reviews, read_aclimdb
from sentilora.tables.bundled import read_bundled
from sentilora.tables.files import SUFFIXES, read_table
from sentilora.tables.imdb import read_imdb
from sentilora.tables.labelled import USUAL_COLUMNS, Columns, LabelledTexts, labelled_from_table


def read_labelled(source: str, columns: Columns = USUAL_COLUMNS) -> LabelledTexts:
    """Read labelled texts.

    Args:
        source: `bundled` or `imdb` (their training part; `bundled:test` and `imdb:test` are their test parts), an
            `aclImdb` folder or one of its splits, or a file that ends in .csv or .parquet.
        columns: Only for files.

    Raises:
        DataError: There is no such source, or it does not hold texts of both labels.
    """
    if columns != USUAL_COLUMNS and (source.partition(":")[0] in ("bundled", "imdb") or Path(source).is_dir()):
        raise DataError(
            f"{source} has no columns to choose: --text-column, --label-column, --group-column are for files"
        )
    if source in ("bundled", "bundled:test"):
        return read_bundled("test" if source.endswith(":test") else "train")
    if source in ("imdb", "imdb:test"):
        return read_imdb("test" if source.endswith(":test") else "train")
    path = Path(source)
    if path.is_dir():
        if holds_reviews(path):
            return read_aclimdb(path)
        raise DataError(f"{path} is not an aclImdb folder: it has no neg/ and pos/ inside, nor a train/ with them")
    if path.suffix.lower() in SUFFIXES:
        return labelled_from_table(read_table(path), columns, str(path))
    endings = " or ".join(SUFFIXES)
    raise DataError(
        f"no data called '{source}': name bundled or imdb (or their :test part), an aclImdb folder, or a {endings} file"
    )
