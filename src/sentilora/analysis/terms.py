"""Words and phrases that tell one side's texts from the other's.

Monroe, Colaresi and Quinn, "Fightin' Words" (Political Analysis, 2008), section 3.5: the log-odds ratio of a term under
an informative Dirichlet prior, in standard errors. A term counts once a text, so that no text outweighs others by
repeating itself.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from sentilora.analysis.words import readable

MOST_TERMS = 500_000  # counted at a time, in about 100 MB
_SHOWN = 40  # of each kind and side
_LEAST_TEXTS = 3
_LEAST_Z = 1.96
_PRIOR, _SHARE = 1000.0, 0.1  # the prior is worth so many terms, or this share of those counted if that is less
_TINY = 1e-9
_READ = 20_000  # characters of a text

# Addresses and @names are passed over; an apostrophe is part of a word, so that "don't" is one; phrases end at stops.
_WORD_OR_STOP = re.compile(r"https?://\S+|www\.\S+|@\w+|([^\W_]+(?:'[^\W_]+)*)|[.,;:!?()\[\]\"\u2026]+")

_ENGLISH = """
a about after all also am an and any are as at be because been before being both but by can could did do does doing
during each few for from further had has have having he her here hers him his how i i'd i'll i'm i've if in into is it
it's its itself just me more most my myself of off on or other our ours out over own s same she should so some such t
than that that's the their theirs them then there there's these they they're they've this those through to under until
up us very was we we're we've were what when where which while who whom why will with would you you're you've your yours
"""
_FUNCTION_WORDS = frozenset(_ENGLISH.split())


@dataclass(frozen=True)
class Term:
    """A word or phrase that one side's texts have more often.

    Attributes:
        term: Without case.
        negative: Negative texts with it.
        positive: Positive texts with it.
        log_odds: By how much being positive raises its log-odds; below 0 for terms of negative texts.
        z: The same in standard errors.
    """

    term: str
    negative: int
    positive: int
    log_odds: float
    z: float


@dataclass(frozen=True)
class Terms:
    """The terms of one kind that tell most, the surest first.

    Attributes:
        negative: Of the negative texts.
        positive: Of the positive texts.
        compared: How many terms were looked at.
        sure_z: From this |z| on a term is hardly chance, though so many were looked at (Bonferroni, 5%).
    """

    negative: list[Term]
    positive: list[Term]
    compared: int
    sure_z: float


Kind = Literal["words", "phrases"]


def terms_of(text: str) -> dict[Kind, list[str]]:
    """The words of a text and its phrases of two and three words, without case, some more than once."""
    words = _WORD_OR_STOP.findall(readable(text[:_READ]).casefold().replace("\u2019", "'"))
    telling = ["" if word in _FUNCTION_WORDS else word for word in words]  # a stop is "" already
    pairs = [" ".join(two) for two in zip(telling, telling[1:]) if all(two)]
    triples = [
        f"{one} {two} {three}" for one, two, three in zip(telling, words[1:], telling[2:]) if one and two and three
    ]
    return {"words": [word for word in telling if word], "phrases": pairs + triples}


class TermCounts:
    """Counts in how many negative and positive texts each term is, in bounded memory.

    When there are too many terms, the rarest are forgotten (as in Manku and Motwani's lossy counting, VLDB 2002).

    Attributes:
        lost: A term may have been in so many more texts than were counted, at most.
    """

    def __init__(self, most: int = MOST_TERMS) -> None:
        self.lost = 0
        self._most = most
        self._counts: dict[Kind, tuple[Counter[str], Counter[str]]] = {
            "words": (Counter(), Counter()),
            "phrases": (Counter(), Counter()),
        }
        self._totals: dict[Kind, list[int]] = {"words": [0, 0], "phrases": [0, 0]}

    def add(self, text: str, label: int) -> None:
        """Count a text.

        Args:
            text: As it was found.
            label: 0 for a negative text, 1 for a positive one.
        """
        for kind, terms in terms_of(text).items():
            once = set(terms)
            self._counts[kind][label].update(once)
            self._totals[kind][label] += len(once)
        if sum(len(counts) for sides in self._counts.values() for counts in sides) > self._most:
            self._forget()

    def find(self, kind: Kind) -> Terms:
        """The terms of a kind that tell most."""
        negative, positive = self._counts[kind]
        totals = self._totals[kind]
        least = max(_LEAST_TEXTS, self.lost + 1)
        found = [
            _compared(term, negative[term], positive[term], totals)
            for term in negative.keys() | positive.keys()
            if negative[term] + positive[term] >= least
        ]
        found.sort(key=lambda term: (-abs(term.z), term.term))
        return Terms(
            negative=_distinct([term for term in found if term.z <= -_LEAST_Z]),
            positive=_distinct([term for term in found if term.z >= _LEAST_Z]),
            compared=len(found),
            sure_z=NormalDist().inv_cdf(1 - 0.025 / max(len(found), 1)),
        )

    def _forget(self) -> None:
        """Drop the terms of the fewest texts until at most half of what may be kept is left."""
        least = 0
        while sum(len(counts) for sides in self._counts.values() for counts in sides) > self._most / 2:
            least += 1
            for negative, positive in self._counts.values():
                for term in [
                    term for term in negative.keys() | positive.keys() if negative[term] + positive[term] <= least
                ]:
                    negative.pop(term, None)
                    positive.pop(term, None)
        self.lost += least


def _compared(term: str, negative: int, positive: int, totals: Sequence[int]) -> Term:
    """Equations 15, 16, 19, 20 and 22 of the paper, the prior spread as the terms of all texts are."""
    worth = min(_PRIOR, _SHARE * sum(totals))
    prior = worth * (negative + positive) / sum(totals)
    sides = [
        (count + prior, max(total + worth - count - prior, _TINY))  # which is 0 where there is no other term
        for count, total in zip((negative, positive), totals)
    ]
    log_odds = math.log(sides[1][0] / sides[1][1]) - math.log(sides[0][0] / sides[0][1])
    return Term(term, negative, positive, log_odds, log_odds / math.sqrt(1 / sides[0][0] + 1 / sides[1][0]))


def _distinct(found: Sequence[Term]) -> list[Term]:
    """The first ones, without phrases that are part of an earlier one, or have one as a part."""
    kept: list[Term] = []
    for term in found:
        spaced = f" {term.term} "
        if not any(f" {other.term} " in spaced or spaced in f" {other.term} " for other in kept):
            kept.append(term)
        if len(kept) == _SHOWN:
            break
    return kept
