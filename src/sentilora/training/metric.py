"""The validation metrics as an `evaluate.Metric`, which `evaluate.load` would have to download."""

from __future__ import annotations

import datasets
import evaluate
import numpy as np
import numpy.typing as npt

from sentilora.analysis import ClassificationMetrics


class SentimentMetric(evaluate.Metric):  # type: ignore[misc]
    """Accuracy, F1, precision and recall of the positive label; each in [0, 1]."""

    def _info(self) -> evaluate.MetricInfo:
        value = datasets.Value("int64")
        return evaluate.MetricInfo(
            description="Accuracy, and F1, precision and recall of the positive label.",
            citation="",
            inputs_description="predictions and references: label ids, 0 negative and 1 positive",
            features=datasets.Features({"predictions": value, "references": value}),
        )

    def _compute(self, predictions: npt.ArrayLike, references: npt.ArrayLike) -> dict[str, float]:
        return ClassificationMetrics.of(np.asarray(references), np.asarray(predictions)).scores()
