"""How good predicted labels are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ClassificationMetrics:
    """A confusion table of negative and positive, and what follows from it.

    Attributes:
        true_negative: Negative texts called negative.
        false_positive: Negative texts called positive.
        false_negative: Positive texts called negative.
        true_positive: Positive texts called positive.
    """

    true_negative: int
    false_positive: int
    false_negative: int
    true_positive: int

    @classmethod
    def of(cls, labels: npt.NDArray[np.integer[Any]], predicted: npt.NDArray[np.integer[Any]]) -> ClassificationMetrics:
        """Count labels against predictions; both are integers [n], 0 negative, 1 positive.

        Raises:
            ValueError: The two differ in length, or hold anything but 0 and 1.
        """
        if labels.shape != predicted.shape or labels.ndim != 1:
            raise ValueError(
                f"labels {labels.shape} and predictions {predicted.shape} must be one list each, equally long"
            )
        if not (np.isin(labels, (0, 1)).all() and np.isin(predicted, (0, 1)).all()):
            raise ValueError("labels and predictions must be 0 or 1")
        table = np.bincount(labels * 2 + predicted, minlength=4)
        return cls(*(int(count) for count in table))

    @property
    def n(self) -> int:
        """How many texts."""
        return self.true_negative + self.false_positive + self.false_negative + self.true_positive

    @property
    def accuracy(self) -> float:
        """Share of the texts called rightly."""
        return _ratio(self.true_negative + self.true_positive, self.n)

    @property
    def precision(self) -> float:
        """Share of the texts called positive that are."""
        return _ratio(self.true_positive, self.true_positive + self.false_positive)

    @property
    def recall(self) -> float:
        """Share of the positive texts that are called so."""
        return _ratio(self.true_positive, self.true_positive + self.false_negative)

    @property
    def f1(self) -> float:
        """Harmonic mean of precision and recall of the positive label."""
        return _ratio(2 * self.true_positive, 2 * self.true_positive + self.false_positive + self.false_negative)

    def scores(self) -> dict[str, float]:
        """Accuracy, F1, precision and recall, each in [0, 1]; 0 where the denominator is."""
        return {"accuracy": self.accuracy, "f1": self.f1, "precision": self.precision, "recall": self.recall}


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
