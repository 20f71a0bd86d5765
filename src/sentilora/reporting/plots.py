"""Plots as inline SVG, in the page's own ink, so that they fit light and dark."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import Any, Literal, Optional, cast

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sentilora.analysis.calibration import abstention_points, reliability
from sentilora.analysis.dates import Period, next_start
from sentilora.analysis.insights import Part
from sentilora.analysis.metrics import Answers, ClassificationMetrics
from sentilora.analysis.shares import Share
from sentilora.analysis.slices import Slice
from sentilora.artifacts import AbstentionPoint
from sentilora.reporting.curve import TrainingCurve

_INK = "#123456"  # becomes the colour of the text around the picture
_BLUE, _ORANGE = "#4c84f0", "#e08a2e"
_SIZE = (5.2, 3.5)
_LONGEST_NAME = 28
_DAYS: dict[Period, int] = {"day": 1, "week": 7, "month": 30, "year": 365}
_FIRST_DAY = date(1970, 1, 1).toordinal()
_STYLE: dict[Any, Any] = {
    "date.converter": "concise",
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": 10,
    "text.color": _INK,
    "axes.labelcolor": _INK,
    "axes.edgecolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": _INK,
    "grid.alpha": 0.12,
    "legend.frameon": False,
}


def reliability_plot(answers: Answers) -> str:
    """Accuracy at each confidence against the confidence, and below it how the confidences are spread."""
    with _style("reliability"):
        figure = _figure()
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        bins = reliability(answers)
        upper.plot((0.5, 1), (0.5, 1), color=_INK, alpha=0.45, linestyle="--", linewidth=1, label="as it should be")
        upper.plot(
            [one.confidence for one in bins], [one.accuracy for one in bins], "o-", color=_BLUE, label="this model"
        )
        upper.set_ylabel("answered rightly")
        upper.legend(loc="upper left")
        lower.hist(answers.confidence, bins=25, range=(0.5, 1), color=_BLUE, alpha=0.55)
        lower.set_xlabel("confidence")
        lower.set_ylabel("texts")
        lower.grid(visible=False)
        _percent(upper, "xy")
        return _svg(figure)


def precision_recall_plot(answers: Answers) -> str:
    """Precision against recall of the positive label at every threshold, and where a half puts it."""
    with _style("precision-recall"):
        figure = _figure(height=4.7)
        axes = figure.subplots()
        order = np.argsort(-answers.p_positive, kind="stable")
        right = np.cumsum(answers.labels[order])
        last = np.append(np.flatnonzero(np.diff(answers.p_positive[order])), len(answers) - 1)
        shown = np.unique(np.linspace(0, len(last) - 1, min(len(last), 400)).astype(int))
        ends = last[shown]
        axes.plot(right[ends] / right[-1], right[ends] / (ends + 1), color=_BLUE)
        metrics = ClassificationMetrics.of(answers.labels, answers.predicted)
        axes.plot(metrics.recall, metrics.precision, "o", color=_ORANGE, label="called positive above 50%")
        axes.set_xlabel("share of the positive texts found")
        axes.set_ylabel("share of the found that are positive")
        axes.set_ylim(bottom=min(axes.get_ylim()[0], 0.9), top=1.01)  # or all but nothing would look like much
        axes.legend(loc="lower left")
        _percent(axes, "xy")
        return _svg(figure)


def abstaining_plot(answers: Answers, chosen: Optional[AbstentionPoint]) -> str:
    """Precision and coverage of answering only from a confidence on."""
    with _style("abstaining"):
        figure = _figure()
        axes = figure.subplots()
        points = abstention_points(answers)
        confidences = [max(point.confidence, 0.5) for point in points]
        axes.plot(confidences, [point.precision for point in points], color=_BLUE, label="answered rightly")
        axes.plot(confidences, [point.coverage for point in points], color=_ORANGE, label="share answered")
        if chosen is not None:
            axes.axvline(chosen.confidence, color=_INK, alpha=0.5, linestyle="--", linewidth=1, label="chosen")
        axes.set_xlabel("least confidence that is answered")
        axes.set_ylim(0, 1.02)
        axes.legend(loc="lower left")
        _percent(axes, "xy")
        return _svg(figure)


def slices_plot(slices: Sequence[Slice], whole: float) -> str:
    """Accuracy of each slice with its interval, against that of the whole."""
    with _style("slices"):
        figure = _figure(height=0.9 + 0.42 * len(slices))
        axes = figure.subplots()
        places = np.arange(len(slices))[::-1]
        values = np.array([part.accuracy.value for part in slices])
        low = values - [part.accuracy.low for part in slices]
        high = np.array([part.accuracy.high for part in slices]) - values
        axes.axvline(whole, color=_INK, alpha=0.45, linestyle="--", linewidth=1)
        axes.errorbar(values, places, xerr=np.maximum((low, high), 0), fmt="o", color=_BLUE, capsize=3)
        axes.set_yticks(places, [_short(part.name).replace("$", r"\$") for part in slices])
        axes.set_ylim(-0.6, len(slices) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("answered rightly (dashed: all texts)")
        _percent(axes, "x")
        return _svg(figure)


def time_plot(parts: Sequence[Part], period: Period, overall: Share) -> str:
    """The share of each period with its interval, and below it the number of texts."""
    with _style("over-time"):
        figure = _figure(4.0, 2 * _SIZE[0])
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        days, low, value, high = _line(parts, period)
        upper.fill_between(days, low, high, color=_BLUE, alpha=0.18, linewidth=0)
        upper.plot(days, value, "o-", color=_BLUE, markersize=4)
        for part in parts:
            if part.stands_out and part.share.share is not None:
                upper.plot([_day_number(part)], [part.share.share.value], "o", color=_ORANGE, markersize=7)
        if overall.share is not None:
            upper.axhline(overall.share.value, color=_INK, alpha=0.45, linestyle="--", linewidth=1)
        upper.set_ylabel("positive")
        upper.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        starts, texts = [_day_number(part) for part in parts], [part.share.texts for part in parts]
        lower.bar(starts, texts, 0.8 * _DAYS[period], color=_BLUE, alpha=0.55)
        lower.set_ylabel("texts")
        lower.xaxis_date()
        lower.grid(visible=False)
        return _svg(figure)


def training_plot(curve: TrainingCurve) -> str:
    """Losses and accuracy over the epochs."""
    with _style("training"):
        figure = _figure(width=2 * _SIZE[0])
        curve.draw(figure)
        return _svg(figure)


def _figure(height: float = _SIZE[1], width: float = _SIZE[0]) -> Figure:
    return Figure(figsize=(width, height), layout="constrained", facecolor="none")


@contextmanager
def _style(name: str) -> Iterator[None]:
    """Our style; `name` keeps the ids of one picture apart from those of the others on the page."""
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        yield


def _percent(axes: Axes, which: Literal["x", "xy"]) -> None:
    axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    if which == "xy":
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "\N{HORIZONTAL ELLIPSIS}"


def _svg(figure: Figure) -> str:
    """The picture as an element that takes the width it is given."""
    for axes in figure.axes:
        axes.patch.set_visible(False)
    picture = io.StringIO()
    figure.savefig(picture, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    svg = picture.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.S)
    svg = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", svg, count=1)
    svg = re.sub(r' id="[\w.]*_\d+"', "", svg)  # which every picture has alike, and nothing refers to
    return svg.replace(_INK, "currentColor")


def _line(parts: Sequence[Part], period: Period) -> tuple[list[float], list[float], list[float], list[float]]:
    """Days, lower ends, shares, upper ends; not a number where a period has no share, so that the line is broken."""
    nothing = (np.nan, np.nan, np.nan)
    points: list[tuple[float, float, float, float]] = []
    expected: Optional[date] = None
    for part in parts:
        if part.start is None:
            continue
        if expected is not None and expected < part.start:
            points.append((_day_number(part) - 1, *nothing))
        share = part.share.share
        points.append((_day_number(part), *(nothing if share is None else (share.low, share.value, share.high))))
        expected = next_start(part.start, period)
    days, low, value, high = (list(numbers) for numbers in zip(*points))
    return days, low, value, high


def _day_number(part: Part) -> float:
    """The first day of a period, as Matplotlib counts days."""
    return float(cast(date, part.start).toordinal() - _FIRST_DAY)
