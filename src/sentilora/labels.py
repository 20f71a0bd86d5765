"""Label names, and how the values found in data become label ids."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Optional

_NAMES_OF_VALUES = {
    "0": 0,
    "neg": 0,
    "negative": 0,
    "false": 0,
    "1": 1,
    "pos": 1,
    "positive": 1,
    "true": 1,
}


@dataclass(frozen=True)
class Labels:
    """The names of a classifier's labels, in the order of its logits."""

    names: tuple[str, ...]

    def __len__(self) -> int:
        """How many labels there are."""
        return len(self.names)

    @property
    def positive(self) -> Optional[int]:
        """Index of the positive label; None where negative and positive are not both known by name."""
        folded = [name.casefold() for name in self.names]
        return folded.index("positive") if {"negative", "positive"} <= set(folded) else None

    @property
    def id2label(self) -> dict[int, str]:
        """The mapping as Transformers writes it into a config."""
        return dict(enumerate(self.names))

    @classmethod
    def unnamed(cls, count: int) -> Labels:
        """Labels nobody named, called as Transformers calls them: `LABEL_0`, `LABEL_1`, ..."""
        return cls(tuple(f"LABEL_{index}" for index in range(count)))


SENTIMENT = Labels(("negative", "positive"))


def sentiment_id(value: object) -> Optional[int]:
    """The label id of a value as people write it, or None if it is not one.

    Args:
        value: 0/1 (also 0.0/1.0), True/False, or in any case neg/pos, negative/positive, true/false, "0"/"1".

    Returns:
        0 for negative, 1 for positive, None for anything else.
    """
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return _NAMES_OF_VALUES.get(str(value).strip().casefold())
