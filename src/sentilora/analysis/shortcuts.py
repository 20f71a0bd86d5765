"""Words that nearly give the label away, and how evenly labels and lengths are spread."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from sentilora.analysis.ranks import auc
from sentilora.analysis.words import folded_words
from sentilora.labels import SENTIMENT
from sentilora.tables import LabelledTexts

SHARE = 0.01  # of the texts that must hold a word
_LEAST_TEXTS = 5
_ODDS = np.log(9)  # nine times the odds: 90 % of the texts with the word, were both labels equally frequent
_Z = 5.0  # standard errors away from chance: some thousands of words are looked at


@dataclass(frozen=True)
class Shortcut:
    """A word whose presence predicts the label.

    Attributes:
        word: Without case.
        texts: How many hold it.
        label: The one that it predicts.
        share: Of the texts with it that have the label, in [0, 1].
        log_odds: By how much it raises the log-odds of being positive; below 0 for words of negative texts.
        z: How sure that is, in standard errors: the signed root of the likelihood ratio (Dunning, 1993, section 5.2),
            which holds for words that one label never has.
    """

    word: str
    texts: int
    label: str
    share: float
    log_odds: float
    z: float


@dataclass(frozen=True)
class Balance:
    """How evenly labels and lengths are spread.

    Attributes:
        negative: Texts of this label.
        positive: Texts of this label.
        negative_words: Median number of words of the negative texts.
        positive_words: Median number of words of the positive texts.
        length_auc: How well the number of words alone tells positive from negative: the probability that a positive
            text is longer than a negative one. 0.5 means not at all; far below means that negative texts are longer.
    """

    negative: int
    positive: int
    negative_words: float
    positive_words: float
    length_auc: float


def shortcuts_of(data: LabelledTexts, share: float = SHARE) -> list[Shortcut]:
    """Words in at least this share of the texts that raise the odds of a label ninefold, the surest first.

    A word like `awful` belongs here in reviews; one like `http` or a shop's name is what a model should not learn.
    """
    counts: tuple[Counter[str], Counter[str]] = (Counter(), Counter())
    for text, label in zip(data.texts, data.labels):
        counts[label].update(set(folded_words(text)))
    totals = np.bincount(data.labels, minlength=2)
    least = max(share * len(data), _LEAST_TEXTS)
    words = [word for word in counts[0] | counts[1] if counts[0][word] + counts[1][word] >= least]
    found = (_shortcut(word, counts[0][word], counts[1][word], int(totals[0]), int(totals[1])) for word in words)
    far = [shortcut for shortcut in found if abs(shortcut.log_odds) >= _ODDS and abs(shortcut.z) >= _Z]
    return sorted(far, key=lambda shortcut: (-abs(shortcut.z), shortcut.word))


def balance_of(data: LabelledTexts) -> Balance:
    """Count labels and words."""
    lengths = np.array([len(folded_words(text)) for text in data.texts])
    negative, positive = lengths[data.labels == 0], lengths[data.labels == 1]
    return Balance(
        negative=len(negative),
        positive=len(positive),
        negative_words=float(np.median(negative)),
        positive_words=float(np.median(positive)),
        length_auc=auc(negative, positive),
    )


def _shortcut(word: str, negative: int, positive: int, all_negative: int, all_positive: int) -> Shortcut:
    table = np.array([[positive, all_positive - positive], [negative, all_negative - negative]])
    smoothed = table + 0.5
    log_odds = float(np.log(smoothed[0, 0] / smoothed[0, 1]) - np.log(smoothed[1, 0] / smoothed[1, 1]))
    label = int(log_odds > 0)
    return Shortcut(
        word=word,
        texts=negative + positive,
        label=SENTIMENT.names[label],
        share=(negative, positive)[label] / (negative + positive),
        log_odds=log_odds,
        z=float(np.sign(log_odds) * np.sqrt(_likelihood_ratio(table))),
    )


def _likelihood_ratio(table: npt.NDArray[np.int64]) -> float:
    """Twice the log of how much likelier a table of counts is when its rows may differ."""
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0) / table.sum()
    counted = table > 0
    return max(0.0, 2 * float((table[counted] * np.log(table[counted] / expected[counted])).sum()))
