"""Texts that show what a side's texts are about, in the fewest words."""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from sentilora.analysis.terms import Term, terms_of
from sentilora.analysis.words import readable

_KEPT = 300  # texts of a side, the surest: bounds the memory
_CHOSEN = 8  # of each side
_READ = 5_000  # characters of a text
_MOST_SENTENCES = 100  # of a text that are looked at one by one
_PASSAGE = 320  # characters shown of a text
_SENTENCE_END = re.compile(r"(?<=[.!?\N{HORIZONTAL ELLIPSIS}])\s+")
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class TellingText:
    """A passage that holds many of the terms that tell a side.

    Attributes:
        p_positive: The text's probability of being positive, in [0, 1].
        passage: The text, or the most telling sentences of a longer one.
        terms: The telling terms in it that no text before it in the list has.
    """

    p_positive: float
    passage: str
    terms: list[str]


class SurestTexts:
    """Keeps the different texts that a model was surest of; of equally sure ones the first."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, str]] = []
        self._texts: set[str] = set()
        self._seen = 0

    def add(self, text: str, sureness: float) -> None:
        """Consider a text.

        Args:
            text: As it was found.
            sureness: Probability of its sentiment, in [0, 1].
        """
        self._seen += 1
        if len(self._heap) == _KEPT and sureness <= self._heap[0][0]:
            return
        text = " ".join(readable(text[:_READ]).split())
        if text in self._texts:
            return
        self._texts.add(text)
        if len(self._heap) < _KEPT:
            heapq.heappush(self._heap, (sureness, -self._seen, text))
        else:
            self._texts.discard(heapq.heapreplace(self._heap, (sureness, -self._seen, text))[2])

    def __iter__(self) -> Iterator[tuple[float, str]]:
        """How sure, and the text; the surest first."""
        for sureness, _, text in sorted(self._heap, reverse=True):
            yield sureness, text


def choose_telling(surest: SurestTexts, terms: Sequence[Term], positive: bool) -> list[TellingText]:
    """The passages that together hold most of the terms: each adds the greatest |z| of terms not shown before.

    Args:
        surest: Texts of the side.
        terms: That tell the side.
        positive: Which side it is.
    """
    weights = {term.term: abs(term.z) for term in terms}
    passages = [(sureness, *_best_passage(text, weights)) for sureness, text in surest]
    chosen: list[TellingText] = []
    while len(chosen) < _CHOSEN and passages:
        best = max(passages, key=lambda passage: sum(weights[term] for term in passage[2]))
        sureness, passage, found = best
        if not any(weights[term] for term in found):
            break
        new = sorted((term for term in found if weights[term]), key=lambda term: -weights[term])
        chosen.append(TellingText(sureness if positive else 1 - sureness, passage, new))
        weights.update(dict.fromkeys(found, 0.0))
        passages.remove(best)
    return chosen


def _best_passage(text: str, weights: Mapping[str, float]) -> tuple[str, list[str]]:
    """The run of whole sentences that holds the heaviest terms, and those in their order."""
    sentences = _SENTENCE_END.split(text, _MOST_SENTENCES)
    passages = [_passage(sentences, first) for first in range(len(sentences))]
    held = [
        [term for term in dict.fromkeys(chain.from_iterable(terms_of(passage).values())) if term in weights]
        for passage in passages
    ]
    best = max(range(len(passages)), key=lambda place: sum(weights[term] for term in held[place]))
    return passages[best], held[best]


def _passage(sentences: Sequence[str], first: int) -> str:
    """As many sentences as fit, at least one, cut if it is too long."""
    last = first + 1
    while last < len(sentences) and len(" ".join(sentences[first : last + 1])) <= _PASSAGE:
        last += 1
    passage = " ".join(sentences[first:last])
    cut = len(passage) > _PASSAGE
    if cut:
        passage = passage[:_PASSAGE].rsplit(" ", 1)[0]
    before, after = first > 0, cut or last < len(sentences)
    return f"{_ELLIPSIS} " * before + passage + f" {_ELLIPSIS}" * after
