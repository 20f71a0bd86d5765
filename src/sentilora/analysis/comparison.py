"""Two ways of answering the same texts, against each other."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from sentilora.analysis.intervals import all_agree, bootstrap, wilson
from sentilora.analysis.metrics import Answers
from sentilora.analysis.scores import scores_of
from sentilora.artifacts import Interval


@dataclass(frozen=True)
class McNemar:
    """McNemar's exact test of whether two classifiers err equally often.

    Attributes:
        only_first: Texts that only the first answers rightly.
        only_second: Texts that only the second answers rightly.
        p: How probable a difference at least this large is if they err equally often, in (0, 1].
    """

    only_first: int
    only_second: int
    p: float

    @classmethod
    def of(cls, first: Answers, second: Answers) -> McNemar:
        """Test answers to the same texts."""
        only_first = int((first.right & ~second.right).sum())
        only_second = int((second.right & ~first.right).sum())
        return cls(only_first, only_second, _two_sided(only_first, only_second))


@dataclass(frozen=True)
class Comparison:
    """The classifier that is measured, against another one.

    Attributes:
        name: The other one.
        scores: Its measures, by name, with their intervals.
        difference: Accuracy of the measured one less the other's; the interval is the bootstrap's of the pairs. Where
            every resample agrees, it is made of the two shares' Wilson intervals (Zou and Donner, 2008).
        test: The measured one is the first.
    """

    name: str
    scores: dict[str, Interval]
    difference: Interval
    test: McNemar

    @classmethod
    def of(cls, name: str, measured: Answers, other: Answers) -> Comparison:
        """Compare answers to the same texts."""
        gained = measured.right.astype(np.float64) - other.right
        n = len(measured)
        test = McNemar.of(measured, other)
        difference = bootstrap(lambda weights: {"difference": weights @ gained / n}, n)["difference"]
        if all_agree(difference):
            difference = _difference(wilson(test.only_first, n), wilson(test.only_second, n))
        return cls(name, scores_of(other), difference, test)


def _difference(first: Interval, second: Interval) -> Interval:
    """Of two shares, from the interval of each."""
    value = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Interval(value, max(-1.0, value - below), min(1.0, value + above))


def _two_sided(first: int, second: int) -> float:
    """Twice the tail of a fair coin's binomial distribution, in whole numbers and so exact."""
    n = first + second
    term = tail = 1
    for count in range(min(first, second)):
        term = term * (n - count) // (count + 1)
        tail += term
    return min(1.0, 2 * tail / (1 << n))
