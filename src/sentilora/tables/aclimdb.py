"""The official Large Movie Review Dataset as it unpacks: `aclImdb/{train,test}/{neg,pos}/ID_RATING.txt`."""

from __future__ import annotations

from pathlib import Path

from sentilora.config import MAX_CHARACTERS
from sentilora.errors import DataError
from sentilora.tables.labelled import LabelledTexts, labelled

_LABELS = ("neg", "pos")


def holds_reviews(folder: Path) -> bool:
    """Whether this is an `aclImdb/` folder, or its `train/` or `test/`."""
    return any(all((split / label).is_dir() for label in _LABELS) for split in (folder, folder / "train"))


def read_aclimdb(folder: Path) -> LabelledTexts:
    """Read `aclImdb/train`; or, where `folder` is itself a split, such as `aclImdb/test`, that split.

    Rows are ordered by label, then by file name. `unsup/` is left alone. The folder does not say which film a review
    is about (its `urls_*.txt` does); films are therefore not kept apart when it is split.

    Raises:
        DataError: A review cannot be read, is not UTF-8 text, or too long.
    """
    split = folder if (folder / "neg").is_dir() else folder / "train"
    texts: list[str] = []
    labels: list[int] = []
    blank = 0
    for label, name in enumerate(_LABELS):
        for path in sorted((split / name).glob("*.txt")):
            try:
                text = path.read_text("utf-8")
            except UnicodeDecodeError as error:
                raise DataError(f"{path} is not UTF-8 (byte {error.start}): convert it") from None
            except OSError as error:
                raise DataError(f"{path} cannot be read: {error.strerror}") from None
            if len(text) > MAX_CHARACTERS:
                raise DataError(f"{path} has {len(text):,} characters; at most {MAX_CHARACTERS:,} are read: cut it")
            if text.strip():
                texts.append(text)
                labels.append(label)
            else:
                blank += 1
    return labelled(texts, labels, str(split), dropped={"no text in the file": blank} if blank else {})
