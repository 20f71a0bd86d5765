"""How positive texts are: shares with their intervals, what stands out, and a trend."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from statistics import NormalDist
from typing import Optional

import numpy as np

from sentilora.analysis.intervals import student, wilson
from sentilora.artifacts import Interval

_FEW_EXPECTED = 100  # texts of the rarer kind; below, a normal curve is too narrow at its ends
_FEWEST_DAYS = 3


@dataclass
class Tally:
    """A growing count of texts.

    Attributes:
        negative: Texts.
        positive: Texts.
        uncertain: Texts that the model answered neither way.
        p_positive: Sum of the probabilities of being positive of all texts that have one.
        with_p: How many have one.
    """

    negative: int = 0
    positive: int = 0
    uncertain: int = 0
    p_positive: float = 0.0
    with_p: int = 0

    def add(self, sentiment: str, p_positive: Optional[float]) -> None:
        """Count a text, by its sentiment in lower case."""
        if sentiment == "negative":
            self.negative += 1
        elif sentiment == "positive":
            self.positive += 1
        else:
            self.uncertain += 1
        if p_positive is not None:
            self.p_positive += p_positive
            self.with_p += 1

    def merge(self, other: Tally) -> None:
        """Count another's texts too."""
        self.negative += other.negative
        self.positive += other.positive
        self.uncertain += other.uncertain
        self.p_positive += other.p_positive
        self.with_p += other.with_p

    @property
    def texts(self) -> int:
        """How many were counted."""
        return self.negative + self.positive + self.uncertain

    def share(self) -> Share:
        """What the count comes to."""
        sure = self.negative + self.positive
        return Share(
            texts=self.texts,
            negative=self.negative,
            positive=self.positive,
            uncertain=self.uncertain,
            share=wilson(self.positive, sure) if sure else None,
            expected=self.p_positive / self.with_p if self.with_p else None,
        )


@dataclass(frozen=True)
class Share:
    """How positive some texts are.

    Attributes:
        texts: How many.
        negative: Of them.
        positive: Of them.
        uncertain: Of them.
        share: Of the positive among the negative and positive, with Wilson's interval; None where there are none.
        expected: Mean probability of being positive, the uncertain included; None where no text has one.
    """

    texts: int
    negative: int
    positive: int
    uncertain: int
    share: Optional[Interval]
    expected: Optional[float]


@dataclass(frozen=True)
class Trend:
    """A straight line through the days' shares.

    Attributes:
        first: The first day with texts that count.
        last: The last.
        change: Of the share from the one to the other, with its 95% interval.
    """

    first: date
    last: date
    change: Interval

    @property
    def clear(self) -> bool:
        """Whether the change is hardly chance."""
        return self.change.low > 0 or self.change.high < 0


def stands_out(part: Share, whole: Share, among: int) -> bool:
    """Whether a part is more or less positive than the rest, and hardly by chance.

    Fisher's exact test at 5%, by Bonferroni among so many parts; of many texts, that of two proportions.
    """
    ours, all_texts = part.negative + part.positive, whole.negative + whole.positive
    rest = all_texts - ours
    if not ours or not rest:
        return False
    limit = 0.05 / among
    expected = min(ours, rest) * min(whole.positive, whole.negative) / all_texts
    if expected < _FEW_EXPECTED:
        return _exact(part.positive, ours, whole.positive, all_texts) < limit
    pooled = whole.positive / all_texts
    difference = part.positive / ours - (whole.positive - part.positive) / rest
    error = math.sqrt(pooled * (1 - pooled) * (1 / ours + 1 / rest))
    return abs(difference) > error * NormalDist().inv_cdf(1 - limit / 2)


def _exact(found: int, drawn: int, positive: int, of: int) -> float:
    """Fisher's p: how probable such a count, or a less probable one, is among texts drawn from all.

    Args:
        found: Positive texts among those drawn.
        drawn: How many were.
        positive: Positive texts among all.
        of: How many those are.
    """
    low, high = max(0, drawn + positive - of), min(drawn, positive)
    counts = np.arange(low, high, dtype=np.float64)
    ratios = (positive - counts) * (drawn - counts) / ((counts + 1) * (of - positive - drawn + counts + 1))
    logs = np.append(0.0, np.cumsum(np.log(ratios)))
    chances = np.exp(logs - logs.max())
    as_rare = chances <= chances[found - low] * (1 + 1e-7)  # of two that are equal, rounding makes one the larger
    return float(chances[as_rare].sum() / chances.sum())


def trend_of(days: Mapping[date, Tally]) -> Optional[Trend]:
    """The line, by least squares over the texts; None for fewer than three days with texts that count.

    The interval takes the larger of two errors: that of independent texts, and that of days whose texts go together
    (clustered, Liang and Zeger 1986), as they do where something happened. Few days tell little of either: the days'
    error is scaled by days / (days - 2), and the interval is Student's.
    """
    counted = {day: tally for day, tally in days.items() if tally.negative + tally.positive}
    if len(counted) < _FEWEST_DAYS:
        return None
    at = np.array([day.toordinal() for day in counted], dtype=np.float64)
    positive = np.array([tally.positive for tally in counted.values()], dtype=np.float64)
    n = positive + [tally.negative for tally in counted.values()]
    at -= np.average(at, weights=n)
    spread = (n * at**2).sum()
    mean = positive.sum() / n.sum()
    slope = (at * (positive - n * mean)).sum() / spread
    smoothed = (positive.sum() + 2) / (n.sum() + 4)  # Agresti and Coull, 1998: or texts all alike would leave no doubt
    independent = math.sqrt(smoothed * (1 - smoothed) / spread)
    freedom = len(counted) - 2
    squares = ((at * (positive - n * (mean + slope * at))) ** 2).sum()
    clustered = math.sqrt(squares * len(counted) / freedom) / spread
    length = at.max() - at.min()
    change, off = float(slope * length), float(student(freedom) * max(independent, clustered) * length)
    return Trend(min(counted), max(counted), Interval(change, max(-1.0, change - off), min(1.0, change + off)))
