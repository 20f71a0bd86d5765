"""Where a classifier is better and where it is worse."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sentilora.analysis.intervals import wilson
from sentilora.analysis.metrics import Answers, ClassificationMetrics
from sentilora.artifacts import Interval
from sentilora.tables.labelled import NoGroup
from sentilora.text import EncodedText

_MOST = 20
_FEWEST_TEXTS = 5
NO_VALUE = "(no value)"
BY_LENGTH, BY_READING = "tokens", "read"  # what is not a column's


@dataclass(frozen=True)
class Slice:
    """Some of the texts.

    Attributes:
        by: What they have in common, such as `tokens`.
        name: Which of its values, such as `up to 40`.
        metrics: Their confusion table.
        accuracy: With its interval.
        confidence: Mean probability of the answers, in [0.5, 1].
    """

    by: str
    name: str
    metrics: ClassificationMetrics
    accuracy: Interval
    confidence: float


def slices_by(by: str, keys: Sequence[str], answers: Answers) -> tuple[Slice, ...]:
    """A slice for each key that enough texts share, in order of first appearance; the others' texts make one together.

    Args:
        by: What the keys are.
        keys: n, one a text; those that are `NoGroup` make one slice.
        answers: To the same n texts.
    """
    by = f"column {by}" if by in (BY_LENGTH, BY_READING) else by
    keys = [NO_VALUE if isinstance(key, NoGroup) else key for key in keys]
    counts = Counter(keys)
    kept = {key for key, count in counts.most_common(_MOST) if count >= _FEWEST_TEXTS}
    others = f"{len(counts) - len(kept)} other values"
    names = np.array([key if key in kept else others for key in keys], dtype=object)
    ordered = [key for key in counts if key in kept] + [others] * (len(kept) < len(counts))
    return tuple(_slice(by, name, answers.take(np.flatnonzero(names == name))) for name in ordered)


def slices_by_length(encoded: Sequence[EncodedText], answers: Answers) -> tuple[Slice, ...]:
    """Quarters of the texts by how many tokens they have, shortest first; fewer where lengths are equal."""
    lengths = np.array([text.length for text in encoded])
    edges = np.unique(np.quantile(lengths, (0.25, 0.5, 0.75, 1), method="inverted_cdf"))
    names = [f"up to {edges[0]:,}"] + [f"{low + 1:,} to {high:,}" for low, high in zip(edges, edges[1:])]
    quarter = np.searchsorted(edges, lengths)
    return tuple(_slice(BY_LENGTH, name, answers.take(quarter == number)) for number, name in enumerate(names))


def slices_by_truncation(encoded: Sequence[EncodedText], answers: Answers) -> tuple[Slice, ...]:
    """Texts read whole and texts that were cut; nothing where all are one or the other."""
    cut = np.array([text.truncated for text in encoded])
    if cut.all() or not cut.any():
        return ()
    return (
        _slice(BY_READING, "whole", answers.take(~cut)),
        _slice(BY_READING, "cut", answers.take(cut)),
    )


def _slice(by: str, name: str, answers: Answers) -> Slice:
    return Slice(
        by,
        name,
        ClassificationMetrics.of(answers.labels, answers.predicted),
        wilson(int(answers.right.sum()), len(answers)),
        float(answers.confidence.mean()),
    )
