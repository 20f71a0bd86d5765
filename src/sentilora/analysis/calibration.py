"""Making confidences mean what they say: temperature scaling (Guo et al., 2017), and when to say nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sentilora.analysis.intervals import wilson
from sentilora.analysis.metrics import BINS, Answers, Floats, Measurement, equal_mass_bins
from sentilora.artifacts import AbstentionPoint

# Where every validation text is answered rightly, colder is always better on them, and worse on others. A colder one
# would also magnify the rounding of a model that it is folded into.
COOLEST, HOTTEST = 0.5, 10.0
_POINTS = 100
_TOLERANCE = 1e-7
_STEPS = 100
_DRAWS = 1000
_DRAWN_AT_ONCE = 500_000
_MEASURED = ("ece", "brier", "log_loss")


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it does for the probabilities.

    Attributes:
        temperature: The logits are to be divided by it.
        before: `ece`, `brier` and `log_loss` of the validation texts without it.
        after: The same with it.
    """

    temperature: float
    before: dict[str, float]
    after: dict[str, float]

    def __str__(self) -> str:
        """One line for a person."""
        return (
            f"calibrated: temperature {self.temperature:.3f}, validation log-loss {self.before['log_loss']:.4f} -> "
            f"{self.after['log_loss']:.4f}, calibration error {self.before['ece']:.4f} -> {self.after['ece']:.4f}"
        )


@dataclass(frozen=True)
class ReliabilityBin:
    """Texts of like confidence.

    Attributes:
        confidence: Their mean confidence, in [0.5, 1].
        accuracy: Share of them answered rightly.
        n: How many they are.
    """

    confidence: float
    accuracy: float
    n: int


def calibrate(logits: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> Calibration:
    """Fit a temperature to logits [n, 2] of negative and positive, and measure what it does."""
    temperature = fit_temperature(logits, labels)
    before, after = (Measurement(answers_of(logits, labels, t)).scores() for t in (1.0, temperature))
    return Calibration(
        temperature, {name: before[name] for name in _MEASURED}, {name: after[name] for name in _MEASURED}
    )


def answers_of(logits: npt.NDArray[Any], labels: npt.NDArray[np.int64], temperature: float = 1.0) -> Answers:
    """The answers that logits [n, 2] of negative and positive mean at a temperature."""
    margin = (logits[:, 1].astype(np.float64) - logits[:, 0]) / temperature
    return Answers(labels, np.exp(-np.logaddexp(0.0, -margin)))


def fit_temperature(logits: npt.NDArray[Any], labels: npt.NDArray[np.int64]) -> float:
    """The temperature in [`COOLEST`, `HOTTEST`] under which the labels are most probable.

    The log-loss is convex in the inverse temperature: Newton steps, halved brackets where one would leave its own.

    Args:
        logits: [n, labels].
        labels: int64 [n].
    """
    scores = logits.astype(np.float64)
    scores = scores - scores[np.arange(len(labels)), labels][:, None]  # the loss is then the log of a sum of exponents
    if _slope_and_curvature(scores, 1 / COOLEST)[0] <= 0:
        return COOLEST
    if _slope_and_curvature(scores, 1 / HOTTEST)[0] >= 0:
        return HOTTEST
    low, high, inverse = 1 / HOTTEST, 1 / COOLEST, 1.0
    for _ in range(_STEPS):
        slope, curvature = _slope_and_curvature(scores, inverse)
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        newton = inverse - slope / curvature if curvature > 0 else high
        following = newton if low < newton < high else (low + high) / 2
        if abs(following - inverse) <= _TOLERANCE * inverse:
            break
        inverse = following
    return 1 / inverse


def _slope_and_curvature(scores: Floats, inverse: float) -> tuple[float, float]:
    """First and second derivative of the log-loss by the inverse temperature."""
    exponents = scores * inverse
    weights = np.exp(exponents - exponents.max(axis=1, keepdims=True))
    weights /= weights.sum(axis=1, keepdims=True)
    mean = (weights * scores).sum(axis=1)
    variance = (weights * (scores - mean[:, None]) ** 2).sum(axis=1)
    return float(mean.mean()), float(variance.mean())


def abstention_points(answers: Answers) -> tuple[AbstentionPoint, ...]:
    """Precision and coverage of answering only from a confidence on, at up to 100 quantiles of the confidences.

    The first point answers every text. Equal confidences are answered together.
    """
    n = len(answers)
    order = np.argsort(answers.confidence, kind="stable")
    confidence = answers.confidence[order]
    right_from = np.cumsum(answers.right[order][::-1])[::-1]
    quantiles = np.arange(min(n, _POINTS)) * n // min(n, _POINTS)
    firsts = np.unique(np.searchsorted(confidence, confidence[quantiles]))
    return tuple(
        AbstentionPoint(
            confidence=float(confidence[first]) if first else 0.0,
            precision=float(right_from[first] / (n - first)),
            coverage=float((n - first) / n),
            texts=int(n - first),
            at_least=wilson(int(right_from[first]), int(n - first)).low,
        )
        for first in firsts
    )


def reliability(answers: Answers) -> tuple[ReliabilityBin, ...]:
    """Confidence against accuracy, in bins of equal mass from the least confident answers on."""
    bin_of = equal_mass_bins(answers.confidence, min(BINS, len(answers)))
    return tuple(
        ReliabilityBin(
            float(answers.confidence[bin_of == number].mean()),
            float(answers.right[bin_of == number].mean()),
            int((bin_of == number).sum()),
        )
        for number in np.unique(bin_of)
    )


def ece_if_calibrated(answers: Answers) -> float:
    """How large a calibration error of these texts may be by chance alone: in 95 of 100 draws at most this, in [0, 1].

    A calibrated model has one too, for its answers in a bin are right more or less often than its confidences say. So
    labels are drawn from the model's own probabilities, a thousand times (consistency resampling: Broecker and Smith,
    "Increasing the Reliability of Reliability Diagrams", 2007).
    """
    rng = np.random.default_rng(0)
    n = len(answers)
    confidence = np.sort(answers.confidence)
    bin_of = equal_mass_bins(confidence, min(BINS, n))
    starts = np.searchsorted(bin_of, np.unique(bin_of))
    promised = np.add.reduceat(confidence, starts)
    at_once = max(1, _DRAWN_AT_ONCE // n)
    drawn = []
    for count in [at_once] * (_DRAWS // at_once) + [_DRAWS % at_once]:
        right = rng.random((count, n), dtype=np.float32) < confidence.astype(np.float32)
        drawn.append(np.abs(np.add.reduceat(right, starts, axis=1, dtype=np.int32) - promised).sum(axis=1) / n)
    return float(np.quantile(np.concatenate(drawn), 0.95))
