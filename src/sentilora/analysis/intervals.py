"""How far a measured number may be from the true one."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Callable

import numpy as np

from sentilora.analysis.metrics import Floats
from sentilora.artifacts import Interval
from sentilora.progress import Progress

_RESAMPLES = 1000
_NOTHING = 1e-9  # the width of an interval whose resamples all agree
_WEIGHTS_AT_ONCE = 200_000  # 1.6 MB, which stays near the core
_Z = 1.959964  # of 95%
_ANGLES = 100_001
_BOUNDS = {"mcc": (-1.0, 1.0), "difference": (-1.0, 1.0), "log_loss": (0.0, math.inf)}  # of the others 0 and 1


def bootstrap(statistics: Callable[[Floats], Mapping[str, Floats]], n: int, seed: int = 0) -> dict[str, Interval]:
    """Intervals of statistics of n texts, by resampling the texts with replacement.

    Args:
        statistics: From weights float64 [r, n], how often each text was drawn, to values float64 [r] by name. A NaN, a
            value that a resample does not define, is left out.
        n: How many texts.
        seed: The same seed gives the same intervals.
    """
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[Floats]] = {}
    at_once = max(1, _WEIGHTS_AT_ONCE // n)
    with Progress("measuring the intervals", _RESAMPLES, "resamples") as progress:
        while progress.done < _RESAMPLES:
            count = min(at_once, _RESAMPLES - progress.done)
            rows = rng.integers(0, n, (count, n)) + n * np.arange(count)[:, None]
            weights = np.bincount(rows.ravel(), minlength=count * n).reshape(count, n).astype(np.float64)
            for name, values in statistics(weights).items():
                drawn.setdefault(name, []).append(values)
            progress.advance(count)
    measured = {name: float(values[0]) for name, values in statistics(np.ones((1, n))).items()}
    return {
        name: _interval(measured[name], np.concatenate(parts), _BOUNDS.get(name, (0.0, 1.0)))
        for name, parts in drawn.items()
    }


def all_agree(drawn: Interval) -> bool:
    """Whether every resample gave the same, which says nothing of the texts that were not drawn."""
    return drawn.high - drawn.low < _NOTHING


def wilson(right: float, n: int) -> Interval:
    """A share with Wilson's interval, which holds for few texts and for shares near 0 and 1 too; of no text, 0 to 1."""
    if n == 0:
        return Interval(0.0, 0.0, 1.0)
    share = right / n
    centre = (share + _Z**2 / (2 * n)) / (1 + _Z**2 / n)
    half = _Z * math.sqrt(share * (1 - share) / n + _Z**2 / (4 * n**2)) / (1 + _Z**2 / n)
    return Interval(share, min(share, max(0.0, centre - half)), max(share, min(1.0, centre + half)))


def student(freedom: int) -> float:
    """How many standard errors to either side hold 95% under Student's t with so many degrees of freedom, 1 or more.

    By the angle whose tangent is t / sqrt(freedom): its density goes with the cosine to the power of freedom - 1.
    """
    angles = np.linspace(0, math.pi / 2, _ANGLES)
    middles = (angles[1:] + angles[:-1]) / 2
    within = np.append(0.0, np.cumsum(np.cos(middles) ** (freedom - 1)))
    return math.sqrt(freedom) * math.tan(np.interp(0.95 * within[-1], within, angles))


def _interval(value: float, drawn: Floats, bounds: tuple[float, float]) -> Interval:
    defined = drawn[~np.isnan(drawn)]
    if not len(defined):
        return Interval(value, math.nan, math.nan)
    low, middle, high = np.quantile(defined, (0.025, 0.5, 0.975))
    bias = middle - value  # large for the calibration error, which chance only raises, and resampling adds chance
    return Interval(value, float(max(low - bias, bounds[0])), float(min(high - bias, bounds[1])))
