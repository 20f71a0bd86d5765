"""An evaluation as one HTML file: no script, nothing fetched from elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

from markupsafe import Markup

from sentilora.analysis import Comparison, Evaluation
from sentilora.analysis.metrics import measure_name
from sentilora.analysis.slices import BY_LENGTH
from sentilora.labels import SENTIMENT
from sentilora.reporting.curve import TrainingCurve
from sentilora.reporting.plots import (
    abstaining_plot,
    precision_recall_plot,
    reliability_plot,
    slices_plot,
    training_plot,
)
from sentilora.reporting.templates import render
from sentilora.reporting.verdict import verdict
from sentilora.tables import LabelledTexts

_MEANINGS = {
    "accuracy": "share of the texts answered rightly",
    "f1": "harmonic mean of the next two",
    "precision": "share of those called positive that are",
    "recall": "share of the positive that are called so",
    "mcc": "correlation of answers and labels; 0 is guessing",
    "roc_auc": "how probably a positive text scores above a negative one",
    "pr_auc": "average precision over all thresholds",
    "ece": "how far confidences are off, on average; 0 is best",
    "brier": "mean squared error of the probabilities; 0 is best",
    "log_loss": "mean surprise at the labels, in nats; 0 is best",
}


def report_page(
    model: str,
    data: LabelledTexts,
    evaluation: Evaluation,
    comparisons: Sequence[Comparison] = (),
    curve: Optional[TrainingCurve] = None,
    notes: Sequence[str] = (),
) -> str:
    """The whole page.

    Args:
        model: What was measured.
        data: The texts that it was measured on.
        evaluation: What came of it.
        comparisons: With other models on the same texts.
        curve: How the model was trained, where that is to be shown: the texts are then those that it was validated on.
        notes: What the reader must know of the scores.
    """
    answers, abstaining = evaluation.answers, evaluation.abstaining
    return render(
        "report.html.j2",
        model=model,
        data=data.describe(),
        encoding=str(evaluation.encoding),
        verdict=verdict(evaluation, comparisons),
        evaluation=evaluation,
        comparisons=comparisons,
        notes=[*notes, *([] if evaluation.caution is None else [evaluation.caution])],
        measure_name=measure_name,
        meanings=_MEANINGS,
        labels=SENTIMENT.names,
        plots={
            name: Markup(svg)  # noqa: S704 - our own; matplotlib escapes the names of slices
            for name, svg in {
                "reliability": reliability_plot(answers),
                "precision_recall": precision_recall_plot(answers),
                "abstaining": abstaining_plot(answers, None if abstaining is None else abstaining.expected),
                "length": slices_plot(
                    [part for part in evaluation.slices if part.by == BY_LENGTH], evaluation.metrics.accuracy
                ),
                **({} if curve is None else {"training": training_plot(curve)}),
            }.items()
        },
    )
