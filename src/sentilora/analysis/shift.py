"""How far texts are from others: how well a classifier tells the two apart."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sentilora.analysis.linear import folds_of, held_out_probabilities
from sentilora.analysis.ranks import auc
from sentilora.errors import DataError
from sentilora.tables.labelled import labelled

_LEAST, _MOST = 10, 5000  # texts of each side


@dataclass(frozen=True)
class Shift:
    """How well a cross-validated linear model tells texts from reference texts.

    Attributes:
        auc: Probability that it finds a text less like the reference than a reference text: 0.5 the same, 1 apart.
        texts: How many of the former it saw.
        reference: How many of the latter.
    """

    auc: float
    texts: int
    reference: int


def shift(texts: Sequence[str], reference: Sequence[str], seed: int = 0) -> Shift:
    """Compare at most 5,000 texts of each side, drawn at random.

    Raises:
        DataError: One side has fewer than 10 texts, or too few different ones, or the texts hold no words.
        MissingExtraError: scikit-learn is not installed.
    """
    if min(len(texts), len(reference)) < _LEAST:
        raise DataError(f"{len(texts)} texts and {len(reference)} reference texts: a shift takes {_LEAST} of each")
    rng = np.random.default_rng(seed)
    drawn = [[side[row] for row in rng.permutation(len(side))[:_MOST]] for side in (reference, texts)]
    both = labelled([*drawn[0], *drawn[1]], [0] * len(drawn[0]) + [1] * len(drawn[1]), "the texts and the reference")
    probabilities = held_out_probabilities(both.texts, both.labels, folds_of(both, seed), seed, "measuring the shift")
    return Shift(auc(probabilities[both.labels == 0], probabilities[both.labels == 1]), len(drawn[1]), len(drawn[0]))
