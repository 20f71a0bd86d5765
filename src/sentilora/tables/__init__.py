"""Labelled texts: reading them from wherever they lie, and splitting them."""

from sentilora.tables.labelled import Columns, LabelledTexts
from sentilora.tables.sources import FROM_PYTHON, Source, SupportsArrow, is_frame, name_of, read_labelled
from sentilora.tables.split import Split, as_compared, clusters_of, split_labelled, subset
from sentilora.tables.texts import read_texts, write_labelled
from sentilora.tables.unlabelled import UnlabelledTexts, read_unlabelled, unlabelled_of

__all__ = [
    "FROM_PYTHON",
    "Columns",
    "LabelledTexts",
    "Source",
    "Split",
    "SupportsArrow",
    "UnlabelledTexts",
    "as_compared",
    "clusters_of",
    "is_frame",
    "name_of",
    "read_labelled",
    "read_texts",
    "read_unlabelled",
    "split_labelled",
    "subset",
    "unlabelled_of",
    "write_labelled",
]
