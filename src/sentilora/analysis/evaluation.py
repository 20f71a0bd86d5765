"""A classifier measured on labelled texts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional, Union

import numpy as np

from sentilora.analysis.calibration import ece_if_calibrated
from sentilora.analysis.intervals import wilson
from sentilora.analysis.metrics import Answers, ClassificationMetrics
from sentilora.analysis.scores import scores_of
from sentilora.analysis.slices import Slice, slices_by, slices_by_length, slices_by_truncation
from sentilora.artifacts import AbstentionPoint, Interval
from sentilora.errors import ModelError
from sentilora.inference import Classifier
from sentilora.inference.predictor import Logits
from sentilora.labels import SENTIMENT
from sentilora.progress import Progress
from sentilora.tables import LabelledTexts, Source, read_labelled
from sentilora.text import EncodedText, EncodingSummary

_ERRORS = 20
_FEW = 30  # texts of a label; with 5, the bootstrap's intervals hold the truth 3 times in 4, with 20, 9 times in 10


@dataclass(frozen=True)
class Mistake:
    """A text that was answered wrongly.

    Attributes:
        row: Where it stands in the source, counted from 1 over all its rows.
        text: As it was given.
        positive: Whether its label is positive, and so its answer negative.
        confidence: Probability of the wrong answer, in [0.5, 1].
    """

    row: int
    text: str
    positive: bool
    confidence: float


@dataclass(frozen=True)
class Abstaining:
    """Answering only at or above a confidence.

    Attributes:
        expected: What the validation texts promised.
        precision: Share of right answers among those given here, with Wilson's interval; None where none was.
        coverage: Share of the texts that were answered here.
    """

    expected: AbstentionPoint
    precision: Optional[Interval]
    coverage: float

    def __str__(self) -> str:
        """One line for a person."""
        given = self.precision
        what = "no text is answered so surely"
        if given is not None:
            interval = f"95% interval {given.low:.1%} to {given.high:.1%}"
            what = f"{self.coverage:.1%}, {given.value:.1%} of them rightly ({interval})"
        return f"answered from a confidence of {self.expected.confidence:.3f} on: {what}"

    @classmethod
    def of(cls, point: AbstentionPoint, answers: Answers) -> Abstaining:
        """Apply what was learnt from the validation texts to other ones."""
        given = answers.confidence >= point.confidence
        right = wilson(int(answers.right[given].sum()), int(given.sum())) if given.any() else None
        return cls(point, right, float(given.mean()))


@dataclass(frozen=True)
class Evaluation:
    """What a classifier made of labelled texts.

    Attributes:
        metrics: The confusion table.
        encoding: What truncation and the vocabulary cost.
        logits: float32 [n, 2], in the order of the texts.
        answers: Its probabilities beside the labels.
        scores: Every one of `MEASURES` by name, with its interval.
        ece_if_calibrated: What chance alone makes of a calibrated model's ECE on these texts, in 95 of 100 at most.
        slices: By length, by whether they were read whole, and by the column that was asked for.
        mistakes: The most confident ones, the worst first.
        abstaining: What came of answering only from a confidence on; None where every text was answered.
    """

    metrics: ClassificationMetrics
    encoding: EncodingSummary
    logits: Logits
    answers: Answers
    scores: dict[str, Interval]
    ece_if_calibrated: float
    slices: tuple[Slice, ...]
    mistakes: tuple[Mistake, ...]
    abstaining: Optional[Abstaining]

    @property
    def caution(self) -> Optional[str]:
        """What is to be known of the answers or of the intervals, if anything."""
        if self.metrics.only_answer is not None:
            label, share = SENTIMENT.names[self.metrics.only_answer], self.metrics.accuracy
            return f"every text is called {label}, which is right for {share:.1%} of them: the model has learnt nothing"
        positives = self.metrics.true_positive + self.metrics.false_negative
        fewest, label = min((self.metrics.n - positives, SENTIMENT.names[0]), (positives, SENTIMENT.names[1]))
        if fewest >= _FEW:
            return None
        return (
            f"only {fewest:,} of the texts are {label}: the intervals of MCC, ROC-AUC and PR-AUC are narrower "
            "than they should be"
        )


OF_THE_VALIDATION = (
    "these are the run's validation texts, on which its epoch, temperature and threshold were chosen: its scores are "
    "flattered; name texts of your own with --data"
)


def evaluate(classifier: Classifier, data: Union[LabelledTexts, Source], by: str = "group") -> Evaluation:
    """Classify every text and compare.

    Args:
        classifier: Its labels must be negative and positive.
        data: Texts of one group make a slice; or what `read_labelled` takes, such as a file or a data frame.
        by: What the groups are called.

    Raises:
        DataError: The data cannot be read.
        ModelError: The classifier's labels are not negative and positive.
    """
    _refuse_other_than_classifiers(classifier)
    data = data if isinstance(data, LabelledTexts) else read_labelled(data)
    encoded, logits, _ = ask(classifier, data)
    evaluation = evaluation_of(classifier, data, encoded, logits, by)
    if evaluation.caution is not None:
        classifier.notes.say(evaluation.caution)
    return evaluation


def _refuse_other_than_classifiers(classifier: object) -> None:
    if not isinstance(classifier, Classifier):
        raise TypeError(f"a classifier is expected, not a {type(classifier).__name__}: Classifier.load(...) makes one")


def evaluation_of(
    classifier: Classifier, data: LabelledTexts, encoded: Sequence[EncodedText], logits: Logits, by: str = "group"
) -> Evaluation:
    """Compare logits float32 [n, 2] that are known already; otherwise as `evaluate`."""
    answers = _answers(classifier, data, logits)
    point = classifier.answers_from
    return Evaluation(
        metrics=ClassificationMetrics.of(data.labels, answers.predicted),
        encoding=EncodingSummary.of(encoded),
        logits=logits,
        answers=answers,
        scores=scores_of(answers),
        ece_if_calibrated=ece_if_calibrated(answers),
        slices=(
            *slices_by_length(encoded, answers),
            *slices_by_truncation(encoded, answers),
            *(() if data.groups is None else slices_by(by, data.groups, answers)),
        ),
        mistakes=_mistakes(answers, data),
        abstaining=None if point is None else Abstaining.of(point, answers),
    )


def ask(classifier: Classifier, data: LabelledTexts) -> tuple[list[EncodedText], Logits, Answers]:
    """The texts as the classifier sees them, its logits float32 [n, 2], and its answers beside the labels.

    Raises:
        ModelError: The classifier's labels are not negative and positive.
    """
    require_sentiment(classifier)
    encoded = classifier.encoder.encode(data.texts)
    with Progress("evaluating", len(encoded)) as progress:
        logits = classifier.predictor.logits([text.ids for text in encoded], progress.advance)
    return encoded, logits, _answers(classifier, data, logits)


def require_sentiment(classifier: Classifier, flag: str = "--labels") -> None:
    """Refuse a classifier whose answers cannot be held against labels.

    Args:
        classifier: Any.
        flag: Which names its labels.

    Raises:
        ModelError: Its labels are not negative and positive.
    """
    if classifier.labels.positive is None or len(classifier.labels) != 2:
        raise ModelError(
            f"this classifier's labels are {', '.join(classifier.labels.names)}, not negative and positive: "
            f"if they mean that, say so with {flag} negative,positive"
        )


def _answers(classifier: Classifier, data: LabelledTexts, logits: Logits) -> Answers:
    return Answers(data.labels, classifier.probabilities(logits)[:, classifier.labels.positive])


def _mistakes(answers: Answers, data: LabelledTexts) -> tuple[Mistake, ...]:
    wrong = np.flatnonzero(~answers.right)
    worst = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:_ERRORS]
    return tuple(
        Mistake(int(data.rows[row]) + 1, data.texts[row], bool(data.labels[row]), float(answers.confidence[row]))
        for row in worst
    )
