"""How good predicted labels and probabilities are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Optional

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.int64]

BINS = 15  # of equal mass, for the calibration error
_LEAST = 1e-15  # what a probability of 0 counts as in the log-loss


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
    def only_answer(self) -> Optional[int]:
        """What all of several texts are called, 0 or 1; None where they are called both."""
        called = self.true_positive + self.false_positive
        return int(called > 0) if called in (0, self.n) and self.n > 1 else None

    @property
    def positive_share(self) -> float:
        """Share of the texts that are positive."""
        return _ratio(self.false_negative + self.true_positive, self.n)

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


@dataclass(frozen=True)
class Answers:
    """What was answered to labelled texts.

    Attributes:
        labels: int64 [n], 0 negative, 1 positive.
        p_positive: float64 [n], in [0, 1]; above a half is the answer positive.
    """

    labels: Integers
    p_positive: Floats

    def __len__(self) -> int:
        """How many texts."""
        return len(self.labels)

    @property
    def predicted(self) -> Integers:
        """int64 [n], 0 or 1: the more probable label."""
        return (self.p_positive > 0.5).astype(np.int64)

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Whether each answer is the label."""
        return np.asarray(self.predicted == self.labels)

    @property
    def confidence(self) -> Floats:
        """float64 [n], in [0.5, 1]: probability of the answer."""
        return np.maximum(self.p_positive, 1 - self.p_positive)

    def take(self, rows: npt.NDArray[Any]) -> Answers:
        """Those of these texts: indices, or a mask."""
        return Answers(self.labels[rows], self.p_positive[rows])


# What `Measurement` measures, best high but for the last three, in the order that people read them.
MEASURES = ("accuracy", "f1", "precision", "recall", "mcc", "roc_auc", "pr_auc", "ece", "brier", "log_loss")
_WRITTEN = {
    "f1": "F1",
    "mcc": "MCC",
    "roc_auc": "ROC-AUC",
    "pr_auc": "PR-AUC",
    "ece": "ECE",
    "brier": "Brier",
    "log_loss": "log-loss",
}


def measure_name(measure: str) -> str:
    """One of `MEASURES` as people write it."""
    return _WRITTEN.get(measure, measure)


class Measurement:
    """All of `MEASURES` on the same answers, each text counting as often as its weight says.

    What depends on the answers only, such as their order by score, is worked out once: a bootstrap asks a thousand
    times.
    """

    def __init__(self, answers: Answers) -> None:
        labels, predicted, p = answers.labels, answers.predicted, answers.p_positive
        confidence, right = answers.confidence, answers.right
        self.n = len(answers)
        bins = min(BINS, self.n)
        # Columns of sums over the texts: the four cells of the confusion table, Brier, log-loss, the bins' gaps.
        self._summands = np.zeros((self.n, 6 + bins))
        self._summands[np.arange(self.n), labels * 2 + predicted] = 1
        self._summands[:, 4] = (p - labels) ** 2
        self._summands[:, 5] = -np.log(np.maximum(np.where(labels == 1, p, 1 - p), _LEAST))
        self._summands[np.arange(self.n), 6 + equal_mass_bins(confidence, bins)] = right - confidence
        self._by_score = np.argsort(-p, kind="stable")
        self._positive = labels[self._by_score].astype(np.float64)
        # Texts of equal score stand or fall together: where each score's first text is, from the highest score on.
        self._starts = np.append(0, np.flatnonzero(np.diff(p[self._by_score])) + 1)

    def scores(self) -> dict[str, float]:
        """The measures of the answers as they are."""
        return {name: float(values[0]) for name, values in self.weighted(np.ones((1, self.n))).items()}

    def weighted(self, weights: Floats) -> dict[str, Floats]:
        """The measures under several weightings at once.

        Args:
            weights: float64 [r, n], not negative.

        Returns:
            Each float64 [r]. 0 where a denominator is 0; NaN for an area where a label has no weight.
        """
        sums = weights @ self._summands
        tn, fp, fn, tp = sums[:, :4].T
        total = weights.sum(axis=1)
        roc_auc, pr_auc = self._areas(weights)
        return {
            "accuracy": (tn + tp) / total,
            "f1": _ratios(2 * tp, 2 * tp + fp + fn),
            "precision": _ratios(tp, tp + fp),
            "recall": _ratios(tp, tp + fn),
            "mcc": _ratios(tp * tn - fp * fn, np.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))),
            "roc_auc": roc_auc,
            "pr_auc": pr_auc,
            "ece": np.abs(sums[:, 6:]).sum(axis=1) / total,
            "brier": sums[:, 4] / total,
            "log_loss": sums[:, 5] / total,
        }

    def _areas(self, weights: Floats) -> tuple[Floats, Floats]:
        """Areas under the ROC curve (trapezoids) and the precision-recall curve (average precision)."""
        called = np.take(weights, self._by_score, axis=1)
        more_true = called * self._positive
        more_false = called - more_true
        if len(self._starts) < self.n:
            more_true, more_false = (np.add.reduceat(more, self._starts, axis=1) for more in (more_true, more_false))
            called = more_true + more_false
        true_positives, called = np.cumsum(more_true, axis=1), np.cumsum(called, axis=1)
        positives = true_positives[:, -1]
        both = positives * (called[:, -1] - positives)
        above = np.einsum("rt,rt->r", more_false, true_positives) - np.einsum("rt,rt->r", more_false, more_true) / 2
        precise = np.einsum("rt,rt->r", more_true, _ratios(true_positives, called))
        with np.errstate(invalid="ignore", divide="ignore"):
            roc, pr = above / both, precise / positives
        return np.where(both > 0, roc, np.nan), np.where(positives > 0, pr, np.nan)


def equal_mass_bins(values: Floats, bins: int) -> Integers:
    """Which of `bins` bins, from the lowest, each value falls into; they hold about equally many.

    Equal values share a bin, that of their middle rank: or the order of the rows would decide. Bins may be empty.
    """
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts + 1) / 2
    return np.asarray((middles * bins / max(len(values), 1)).astype(np.int64)[which])


def _ratios(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
