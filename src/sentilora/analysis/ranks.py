"""Comparing two sets of numbers by their order."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt


def auc(lower: npt.NDArray[Any], higher: npt.NDArray[Any]) -> float:
    """Probability that a number of `higher` is above one of `lower`, ties counting half: the area under the ROC curve.

    Both [n] with n > 0.
    """
    ordered = np.sort(higher)
    below = np.searchsorted(ordered, lower, "left")
    not_above = np.searchsorted(ordered, lower, "right")
    return float(1 - (below + not_above).sum() / (2 * len(lower) * len(higher)))
