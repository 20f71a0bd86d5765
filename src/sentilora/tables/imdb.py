"""The IMDb reviews as the Hub holds them (Maas et al., 2011)."""

from __future__ import annotations

from typing import Literal

from sentilora import hub
from sentilora.errors import DataError
from sentilora.tables.files import read_table
from sentilora.tables.labelled import Columns, LabelledTexts, labelled_from_table

_REPOSITORY = "stanfordnlp/imdb"


def read_imdb(split: Literal["train", "test"] = "train") -> LabelledTexts:
    """The official training or test reviews, 25,000 each, from the Hub or its local cache.

    Raises:
        DataError: The Hub cannot be reached and the reviews are not cached.
    """
    try:
        folder = hub.fetch(_REPOSITORY, [f"plain_text/{split}-*.parquet"], kind="dataset")
    except hub.HubUnreachableError as error:
        raise DataError(f"{error}: use --data with an aclImdb folder or a file, or --data bundled") from None
    files = sorted(folder.glob(f"plain_text/{split}-*.parquet"))
    if not files:
        raise DataError(f"the Hub's {_REPOSITORY} holds no plain_text/{split}-*.parquet")
    return labelled_from_table(read_table(files[0]), Columns("text", "label"), f"imdb ({split})")
