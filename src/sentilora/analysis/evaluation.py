"""A classifier measured on labelled texts."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sentilora.analysis.metrics import ClassificationMetrics
from sentilora.errors import ModelError
from sentilora.inference import Classifier
from sentilora.inference.predictor import Logits
from sentilora.progress import Progress
from sentilora.tables import LabelledTexts
from sentilora.text import EncodingSummary


@dataclass(frozen=True)
class Evaluation:
    """What a classifier made of labelled texts.

    Attributes:
        metrics: The confusion table.
        encoding: What truncation and the vocabulary cost.
        logits: float32 [n, 2], in the order of the texts.
    """

    metrics: ClassificationMetrics
    encoding: EncodingSummary
    logits: Logits


def evaluate(classifier: Classifier, data: LabelledTexts) -> Evaluation:
    """Classify every text and compare.

    Raises:
        ModelError: The classifier's labels are not negative and positive.
    """
    positive = classifier.labels.positive
    if positive is None or len(classifier.labels) != 2:
        raise ModelError(
            f"this classifier's labels are {', '.join(classifier.labels.names)}, not negative and positive: "
            "if they mean that, say so with --labels negative,positive"
        )
    encoded = classifier.encoder.encode(data.texts)
    with Progress("evaluating", len(encoded)) as progress:
        logits = classifier.predictor.logits([text.ids for text in encoded], progress.advance)
    predicted = (logits.argmax(axis=1) == positive).astype(np.int64)
    return Evaluation(ClassificationMetrics.of(data.labels, predicted), EncodingSummary.of(encoded), logits)
