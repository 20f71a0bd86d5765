"""Label names, and how the values found in data become label ids."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Optional

from sentilora.errors import ConfigError

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


_NUMBER = r"\s*(-?(?:\d+(?:\.\d*)?|\.\d+))\s*"
_RANGE = re.compile(f"{_NUMBER}[-\u2013\u2014]{_NUMBER}")  # as office programs make dashes of hyphens

SENTIMENT = Labels(("negative", "positive"))


def sentiment_id(value: object) -> Optional[int]:
    """The label id of a value as people write it, or None if it is not one.

    Args:
        value: 0/1 (also 0.0/1.0), True/False, or in any case neg/pos, negative/positive, true/false, "0"/"1".

    Returns:
        0 for negative, 1 for positive, None for anything else.
    """
    return _NAMES_OF_VALUES.get(_folded(value))


def parse_mapping(written: str) -> dict[str, str]:
    """Read `VALUE=MEANING,VALUE=MEANING`.

    Raises:
        ConfigError: A part has no `=`, or a value is there twice.
    """
    parts = [part.rpartition("=") for part in written.split(",") if part.strip()]
    for value, _, meaning in parts:
        if not value.strip():
            raise ConfigError(
                f"setting 'label_map': '{meaning}' has no VALUE= before it: write '1-2=negative,4-5=positive'"
            )
    values = [value.strip() for value, _, _ in parts]
    twice = next((value for value in values if values.count(value) > 1), None)
    if twice is not None:
        raise ConfigError(f"setting 'label_map': '{twice}=' is there twice: a value means negative or positive")
    return {value.strip(): meaning.strip() for value, _, meaning in parts}


@dataclass(frozen=True)
class LabelMap:
    """The user's own reading of a label column, such as star ratings.

    Attributes:
        values: Label ids by value, folded.
        ranges: Label ids by lowest and highest number, both included.
    """

    values: Mapping[str, int]
    ranges: tuple[tuple[float, float, int], ...]

    @classmethod
    def parse(cls, mapping: Mapping[str, str]) -> LabelMap:
        """Read `{"1-2": "negative", "4-5": "positive", "great": "positive"}`; single values win over ranges.

        Raises:
            ConfigError: A meaning is neither negative nor positive, or only one of them is there; a value is there
                twice; a range runs backwards or overlaps with another.
        """
        values: dict[str, int] = {}
        ranges: list[tuple[float, float, int]] = []
        for written, meaning in mapping.items():
            label = sentiment_id(meaning)
            if label is None:
                raise ConfigError(f"setting 'label_map': '{written}={meaning}': a value means negative or positive")
            numbers = _RANGE.fullmatch(written)
            if numbers is None:
                if _folded(written) in values:
                    raise ConfigError(f"setting 'label_map': '{written}' is there twice")
                values[_folded(written)] = label
                continue
            low, high = float(numbers[1]), float(numbers[2])
            if low > high:
                raise ConfigError(f"setting 'label_map': '{written}' runs backwards: the lower number comes first")
            if any(low <= other_high and other_low <= high for other_low, other_high, _ in ranges):
                raise ConfigError(f"setting 'label_map': '{written}' overlaps with another range")
            ranges.append((low, high, label))
        if {*values.values(), *(label for _, _, label in ranges)} != {0, 1}:
            raise ConfigError("setting 'label_map': say which values are negative and which are positive")
        return cls(values, tuple(ranges))

    def label_id(self, value: object) -> Optional[int]:
        """0 or 1 for a value that is mapped, None for any other."""
        folded = _folded(value)
        if folded in self.values:
            return self.values[folded]
        try:
            number = float(folded.replace(",", "."))  # as half of the world writes 4.5
        except ValueError:
            return None
        return next((label for low, high, label in self.ranges if low <= number <= high), None)


def _folded(value: object) -> str:
    """A value as text in one spelling: 4, 4.0 and " 4 " are equal, and so are "Pos" and "pos"."""
    text = str(value).strip().casefold()
    try:
        number = float(text)
    except ValueError:
        return text
    return str(int(number)) if math.isfinite(number) and number.is_integer() else text
