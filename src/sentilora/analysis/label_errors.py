"""Likely label errors, by confident learning (Northcutt et al., 2021)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt


def suspects(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Rows whose label is likely wrong, the likeliest first.

    A text counts as surely of a class when its probability is at least what texts labelled so have on average. These
    counts, scaled to the labels' own, estimate how many texts labelled i are j: so many are flagged, those in which j
    exceeds i by most, and ranked by how little the model believes their label.

    Args:
        labels: From 0, int64 [n]; each class occurs.
        probabilities: [n, classes], from a model that did not see the label it judges.

    Returns:
        int64 row numbers.
    """
    classes = probabilities.shape[1]
    expected = _confident_joint(labels, probabilities)
    flagged = np.zeros(len(labels), dtype=bool)
    for given in range(classes):
        rows = np.flatnonzero(labels == given)
        for other in range(classes):
            margins = probabilities[rows, other] - probabilities[rows, given]
            strongest = np.argsort(-margins, kind="stable")[: round(expected[given, other])]
            if other != given:
                flagged[rows[strongest]] = True
    flagged &= probabilities.argmax(axis=1) != labels  # a label that the model shares is no suspect
    rows = np.flatnonzero(flagged)
    belief = probabilities[rows, labels[rows]]
    return rows[np.argsort(belief, kind="stable")].astype(np.int64)


def _confident_joint(labels: npt.NDArray[np.int64], probabilities: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """How many texts labelled i (row) are likely j (column), [classes, classes]; rows sum to the labels' counts."""
    classes = probabilities.shape[1]
    thresholds = np.array([probabilities[labels == label, label].mean() for label in range(classes)])
    sure = np.where(probabilities >= thresholds, probabilities, -1)
    best = sure.argmax(axis=1)
    counted = sure.max(axis=1) >= 0
    joint = np.zeros((classes, classes))
    np.add.at(joint, (labels[counted], best[counted]), 1)
    totals = np.bincount(labels, minlength=classes)
    return np.asarray(joint * (totals / np.maximum(joint.sum(axis=1), 1))[:, None])
