"""Hiding tokens to be guessed from their neighbours, as BERT does (Devlin et al., 2019, section 3.1, appendix A.1)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from sentilora.errors import ModelError

_MASK = "[MASK]"
_BRACKETED = re.compile(r"\[(PAD|UNK|CLS|SEP|MASK|unused\d+)\]")  # tokens that stand for no text
_MASKED, _REPLACED = 0.8, 0.1  # of the tokens to be guessed; the rest stay as they are


@dataclass(frozen=True)
class MaskedPiece:
    """A piece of text with hidden tokens.

    Attributes:
        ids: What the model sees.
        places: Positions of the tokens to be guessed, ascending; at least one.
        hidden: The tokens that were there.
    """

    ids: list[int]
    places: list[int]
    hidden: list[int]


@dataclass(frozen=True)
class Masking:
    """How tokens are hidden.

    Attributes:
        share: Of a piece's tokens that are to be guessed, in (0, 1).
        mask: Id of `[MASK]`.
        ordinary: int64, the ids that may take a token's place.
    """

    share: float
    mask: int
    ordinary: npt.NDArray[np.int64]

    @classmethod
    def of(cls, tokenizer: Tokenizer, share: float) -> Masking:
        """With this tokenizer's vocabulary.

        Raises:
            ModelError: It has no token to hide others with.
        """
        vocabulary: dict[str, int] = tokenizer.get_vocab()
        if _MASK not in vocabulary:
            raise ModelError(f"the base's tokenizer has no {_MASK}: it cannot be pretrained by hiding tokens")
        ordinary = sorted(number for token, number in vocabulary.items() if not _BRACKETED.fullmatch(token))
        return cls(share, vocabulary[_MASK], np.array(ordinary))

    def __call__(self, pieces: Sequence[npt.NDArray[np.int32]], rng: np.random.Generator) -> list[MaskedPiece]:
        """Hide tokens of each piece, drawn anew at each call; its first and last, [CLS] and [SEP], are left alone."""
        return [self._hide(piece, rng) for piece in pieces]

    def _hide(self, piece: npt.NDArray[np.int32], rng: np.random.Generator) -> MaskedPiece:
        inner = len(piece) - 2
        places = np.sort(rng.choice(inner, max(1, round(inner * self.share)), replace=False)) + 1
        fate = rng.random(len(places))
        others = rng.choice(self.ordinary, len(places))
        ids = piece.copy()
        ids[places] = np.where(fate < _MASKED, self.mask, np.where(fate < _MASKED + _REPLACED, others, piece[places]))
        return MaskedPiece(ids.tolist(), places.tolist(), piece[places].tolist())
