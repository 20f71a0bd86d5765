"""The reviews that come with the package, written by its authors."""

from __future__ import annotations

import io
from importlib import resources
from typing import Literal, Optional

import pyarrow.json

from sentilora.tables.labelled import Columns, LabelledTexts, labelled_from_table


def read_bundled(split: Literal["train", "test"] = "train", group: Optional[str] = None) -> LabelledTexts:
    """The bundled reviews of one split, grouped by a column, such as `domain`."""
    file = resources.files("sentilora") / "reviews" / f"{split}.jsonl"
    table = pyarrow.json.read_json(io.BytesIO(file.read_bytes()))
    return labelled_from_table(table, Columns("text", "label", group), f"the bundled reviews ({split})")
