"""Texts to token ids: the same ids for a text wherever it enters."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from tokenizers import Tokenizer

from sentilora.artifacts import TOKENIZER
from sentilora.config import MAX_CHARACTERS, Truncation
from sentilora.errors import DataError, ModelError, in_one_line
from sentilora.text.cleaning import with_linear_cleaning

_HEAD_SHARE = 4  # of `head+tail`, one part in four is head
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class EncodedText:
    """One text as a model sees it.

    Attributes:
        ids: Token ids, special tokens included; at most `max_length` of them.
        length: Tokens of the whole text, without special tokens, before anything was cut.
        unknown: How many of those `length` tokens are `[UNK]`.
        truncated: Whether anything was cut.
    """

    ids: list[int]
    length: int
    unknown: int
    truncated: bool

    @property
    def readable(self) -> bool:
        """Whether any token of the whole text is known to the vocabulary."""
        return self.unknown < self.length


@dataclass(frozen=True)
class EncodingSummary:
    """What truncation and the vocabulary cost a set of texts.

    Attributes:
        texts: How many texts.
        tokens: Tokens kept, special tokens included.
        truncated: Share of the texts that were cut, in [0, 1].
        unknown: Share of `[UNK]` among all tokens before cutting, in [0, 1].
    """

    texts: int
    tokens: int
    truncated: float
    unknown: float

    @classmethod
    def of(cls, encoded: Sequence[EncodedText]) -> EncodingSummary:
        """Sum up encoded texts."""
        length = sum(text.length for text in encoded)
        return cls(
            texts=len(encoded),
            tokens=sum(len(text.ids) for text in encoded),
            truncated=sum(text.truncated for text in encoded) / max(len(encoded), 1),
            unknown=sum(text.unknown for text in encoded) / max(length, 1),
        )

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.truncated:.1%} of the texts truncated, {self.unknown:.2%} of the tokens unknown"


def truncate(ids: list[int], room: int, policy: Truncation) -> list[int]:
    """At most `room` of `ids`: the first ones, the last ones, or the first quarter of the room and the last three."""
    if len(ids) <= room:
        return ids
    if policy == "head":
        return ids[:room]
    if policy == "tail":
        return ids[len(ids) - room :]
    head = room // _HEAD_SHARE
    return ids[:head] + ids[len(ids) - (room - head) :]


class TextEncoder:
    """Turns texts into token ids. Thread-safe: nothing changes after construction.

    Args:
        tokenizer: Its own truncation and padding are switched off.
        max_length: Most ids of a text, special tokens included.
        truncation: What is kept of a longer text.

    Raises:
        ModelError: The tokenizer adds no special tokens.
    """

    def __init__(self, tokenizer: Tokenizer, max_length: int, truncation: Truncation) -> None:
        self.tokenizer: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()
        self.max_length = max_length
        self.truncation: Truncation = truncation
        special = self.tokenizer.encode("").ids
        if not special:
            raise ModelError("the tokenizer adds no [CLS], which classifiers read: its post_processor is missing")
        self._before, self._after = special[:1], special[1:]
        self._unknown: Optional[int] = self.tokenizer.token_to_id("[UNK]")

    @classmethod
    def load(cls, folder: Path, max_length: int, truncation: Truncation) -> TextEncoder:
        """The encoder of a model folder.

        Raises:
            ModelError: The folder has no readable `tokenizer.json`.
        """
        path = folder / TOKENIZER
        if not path.is_file():
            raise ModelError(f"{folder} has no {TOKENIZER}: save the tokenizer beside the model")
        return cls(read_tokenizer(path), max_length, truncation)

    def cutting(self, max_length: int, truncation: Truncation) -> TextEncoder:
        """An encoder with this one's tokenizer, of which there is one in memory, that cuts texts otherwise."""
        other = copy.copy(self)
        other.max_length = max_length
        other.truncation = truncation
        return other

    @property
    def _room(self) -> int:
        """For tokens of a text's own."""
        return self.max_length - len(self._before) - len(self._after)

    def encode(self, texts: Iterable[str]) -> list[EncodedText]:
        """Encode texts, in their order.

        Raises:
            DataError: One of them is no text, holds half of a character, or is longer than `MAX_CHARACTERS`.
        """
        batch = list(texts)
        for text in batch:
            _refuse_unreadable(text)
        return [
            self._fit(encoding.ids) for encoding in self.tokenizer.encode_batch_fast(batch, add_special_tokens=False)
        ]

    def kept(self, text: str) -> list[tuple[int, int]]:
        """The parts of `text` that are not cut, in order: start and end, in characters; `head+tail` may leave two."""
        offsets = self.tokenizer.encode(text, add_special_tokens=False).offsets
        parts: list[tuple[int, int]] = []
        last = -1
        for token in truncate(list(range(len(offsets))), self._room, self.truncation):
            start, end = offsets[token]
            if parts and token == last + 1:
                start, _ = parts.pop()
            parts.append((start, end))
            last = token
        return parts

    def _fit(self, ids: list[int]) -> EncodedText:
        kept = truncate(ids, self._room, self.truncation)
        return EncodedText(
            ids=self._before + kept + self._after,
            length=len(ids),
            unknown=0 if self._unknown is None else ids.count(self._unknown),
            truncated=len(kept) < len(ids),
        )


def holds_half_a_character(text: str) -> bool:
    """Whether there is a lone surrogate in it, which no UTF-8 has and no tokenizer takes."""
    return not text.isascii() and _LONE_SURROGATE.search(text) is not None


def _refuse_unreadable(text: object) -> None:
    if not isinstance(text, str):
        raise DataError(f"{text!r:.40} is no text, but a {type(text).__name__}: leave it out")
    if len(text) > MAX_CHARACTERS:
        raise DataError(
            f"the text that begins '{text[:40]}' has {len(text):,} characters, and at most {MAX_CHARACTERS:,} are "
            "read: cut it"
        )
    if holds_half_a_character(text):
        raise DataError(
            f"the text that begins {text[:40]!a} holds half of a character, or bytes that are not UTF-8: mend it"
        )


def read_tokenizer(path: Path) -> Tokenizer:
    """The tokenizer in a `tokenizer.json`.

    Raises:
        ModelError: It is none.
    """
    try:
        return Tokenizer.from_str(with_linear_cleaning(path.read_text("utf-8")))
    except Exception as error:  # noqa: BLE001 - the Rust library raises nothing narrower
        raise ModelError(f"{path} is not a tokenizer ({in_one_line(error)}): copy it again") from None
