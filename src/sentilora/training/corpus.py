"""Unlabelled texts as pieces of a length that the encoder reads, nothing of them cut away."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Union, cast

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from sentilora.config import MAX_CHARACTERS, PretrainConfig
from sentilora.errors import DataError
from sentilora.modeling.packed import token_budgets
from sentilora.progress import Progress
from sentilora.tables import (
    FROM_PYTHON,
    Columns,
    Source,
    SupportsArrow,
    UnlabelledTexts,
    is_frame,
    read_unlabelled,
)
from sentilora.text import TextEncoder

_TEXTS_AT_A_TIME = 512
_HELD_OUT_SHARE, _HELD_OUT_MOST = 0.05, 300  # texts
_FEWEST_TEXTS = 20

Texts = Union[str, "os.PathLike[str]", SupportsArrow, Sequence[str]]
Pieces = list[npt.NDArray[np.int32]]


@dataclass(frozen=True)
class Corpus:
    """What is learnt from, and what tells how well.

    Attributes:
        description: How many texts, from where, what was left out: one line.
        train: Pieces to learn from: int32 ids, [CLS] and [SEP] included.
        held_out: Pieces of other texts.
    """

    description: str
    train: Pieces
    held_out: Pieces

    @property
    def tokens(self) -> int:
        """Of the pieces to learn from, [CLS] and [SEP] included."""
        return sum(map(len, self.train))

    @property
    def fingerprint(self) -> str:
        """What tells whether the texts are the same: a sha256 in hexadecimal."""
        digest = hashlib.sha256()
        for piece in (*self.train, *self.held_out):
            digest.update(piece.tobytes())
        return digest.hexdigest()

    def frequencies(self, vocabulary: int) -> npt.NDArray[np.int64]:
        """How often each token occurs, [CLS] and [SEP] left out: int64 [vocabulary]."""
        return np.bincount(np.concatenate([piece[1:-1] for piece in self.train]), minlength=vocabulary)

    def batches(self, tokens: int, epochs: int, seed: int) -> Iterator[list[int]]:
        """Rows of `train` for each step: passes in seeded random order, in batches of at most `tokens` tokens."""
        for epoch in range(epochs):
            order = np.random.default_rng((seed, epoch)).permutation(len(self.train)).tolist()
            for batch in token_budgets([len(self.train[row]) for row in order], tokens):
                yield [order[place] for place in batch]


def read_corpus(source: Texts, config: PretrainConfig, tokenizer: Tokenizer) -> Corpus:
    """Read unlabelled texts, each once, hold some out, and cut the tokens of each into pieces of like length.

    Raises:
        DataError: There is no such source, or too few texts in it that the tokenizer knows a token of.
    """
    texts = _read(source, config)
    distinct = list(dict.fromkeys(texts.texts))
    encoder = TextEncoder(tokenizer, MAX_CHARACTERS + 2, "head")  # a token has a character at least: nothing is cut
    encoded = _token_ids(distinct, encoder)
    readable = [ids for ids in encoded if len(ids)]
    if len(readable) < _FEWEST_TEXTS:
        raise DataError(
            f"{texts.source} holds {len(readable)} different texts to learn from: it takes {_FEWEST_TEXTS} at least"
        )
    order = np.random.default_rng(config.seed).permutation(len(readable)).tolist()
    held_out = min(max(1, round(len(readable) * _HELD_OUT_SHARE)), _HELD_OUT_MOST)
    before, after = encoder.encode([""])[0].ids
    pieces = [_cut(ids, config.max_length, before, after) for ids in readable]
    train = [piece for row in order[held_out:] for piece in pieces[row]]
    repeated = len(texts.texts) - len(distinct)
    description = (
        f"{len(readable) - held_out:,} texts of {texts.source} in {len(train):,} pieces of at most {config.max_length} "
        f"tokens, {sum(map(len, train)):,} in all; {held_out:,} texts held out"
        + (f"; {repeated:,} repeated texts left out" if repeated else "")
        + (f"; {len(distinct) - len(readable):,} without a token left out" if len(readable) < len(distinct) else "")
    )
    return Corpus(description, train, [piece for row in order[:held_out] for piece in pieces[row]])


def _read(source: Texts, config: PretrainConfig) -> UnlabelledTexts:
    if isinstance(source, (str, os.PathLike)) or is_frame(source):
        return read_unlabelled(cast(Source, source), Columns(config.text_column))
    texts = list(cast("Sequence[str]", source))
    return UnlabelledTexts(texts, FROM_PYTHON, np.arange(len(texts)))


def _token_ids(texts: Sequence[str], encoder: TextEncoder) -> Pieces:
    """All tokens of each text, without [CLS] and [SEP]."""
    token_ids: Pieces = []
    with Progress("tokenising", len(texts)) as progress:
        for start in range(0, len(texts), _TEXTS_AT_A_TIME):
            part = encoder.encode(texts[start : start + _TEXTS_AT_A_TIME])
            token_ids += [np.array(text.ids[1:-1] if text.readable else [], np.int32) for text in part]
            progress.advance(len(part))
    return token_ids


def _cut(ids: npt.NDArray[np.int32], max_length: int, before: int, after: int) -> Pieces:
    """As few pieces as hold all, of equal length but for one token."""
    parts = np.array_split(ids, -(-len(ids) // (max_length - 2)))
    return [np.concatenate([[before], part, [after]]).astype(np.int32) for part in parts]
