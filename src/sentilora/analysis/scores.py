"""Every measure of some answers, with its interval."""

from __future__ import annotations

import math

from sentilora.analysis.intervals import all_agree, bootstrap, wilson
from sentilora.analysis.metrics import Answers, ClassificationMetrics, Measurement
from sentilora.artifacts import Interval


def scores_of(answers: Answers) -> dict[str, Interval]:
    """All of `MEASURES` by name.

    Shares have Wilson's interval, and so has F1: it is 2s / (1 + s), where s is the share of the true positives among
    all texts but the true negatives. The others have the bootstrap's; where every resample agrees, which says nothing
    of the texts that were not drawn (as where all answers are right), a wider one that follows from Wilson's.
    """
    table = ClassificationMetrics.of(answers.labels, answers.predicted)
    positives = table.true_positive + table.false_negative
    negatives = table.n - positives
    specificity = wilson(table.true_negative, negatives)
    recall = wilson(table.true_positive, positives)
    drawn = bootstrap(Measurement(answers).weighted, table.n)
    at_the_edge = {
        "mcc": Interval(drawn["mcc"].value, *(_mcc(table, *ends) for ends in zip(_ends(recall), _ends(specificity)))),
        # Pairs that share no text are draws of their own; and average precision is a mean over the positive texts.
        "roc_auc": _share(drawn["roc_auc"].value, min(positives, negatives)),
        "pr_auc": _share(drawn["pr_auc"].value, positives),
    }
    return {
        **drawn,
        **{name: edge for name, edge in at_the_edge.items() if all_agree(drawn[name])},
        "accuracy": wilson(table.true_negative + table.true_positive, table.n),
        "precision": wilson(table.true_positive, table.true_positive + table.false_positive),
        "recall": recall,
        "f1": _f1(table),
    }


def _share(value: float, n: int) -> Interval:
    return wilson(value * n, n)


def _f1(table: ClassificationMetrics) -> Interval:
    low, high = _ends(wilson(table.true_positive, table.n - table.true_negative))
    return Interval(table.f1, 2 * low / (1 + low), 2 * high / (1 + high))


def _mcc(table: ClassificationMetrics, recall: float, specificity: float) -> float:
    """Matthews' correlation at another recall and specificity on as many positive and negative texts."""
    tp, tn = table.positive_share * recall, (1 - table.positive_share) * specificity
    fn, fp = table.positive_share - tp, 1 - table.positive_share - tn
    scale = math.sqrt((tp + fp) * (tp + fn) * (tn + fp) * (tn + fn))
    return max(-1.0, min(1.0, (tp * tn - fp * fn) / scale)) if scale else 0.0


def _ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high
