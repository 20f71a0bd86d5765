"""The plots of an evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Optional

import numpy as np

from sentilora.analysis.calibration import abstention_points, reliability
from sentilora.analysis.metrics import Answers, ClassificationMetrics
from sentilora.analysis.slices import Slice
from sentilora.artifacts import AbstentionPoint
from sentilora.reporting.drawing import BLUE, INK, ORANGE, as_svg, new_figure, percent_axes, short, style


def reliability_plot(answers: Answers) -> str:
    """Accuracy at each confidence against the confidence, and below it how the confidences are spread."""
    with style("reliability"):
        figure = new_figure()
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        bins = reliability(answers)
        upper.plot((0.5, 1), (0.5, 1), color=INK, alpha=0.45, linestyle="--", linewidth=1, label="as it should be")
        upper.plot(
            [one.confidence for one in bins], [one.accuracy for one in bins], "o-", color=BLUE, label="this model"
        )
        upper.set_ylabel("answered rightly")
        upper.legend(loc="upper left")
        lower.hist(answers.confidence, bins=25, range=(0.5, 1), color=BLUE, alpha=0.55)
        lower.set_xlabel("confidence")
        lower.set_ylabel("texts")
        lower.grid(visible=False)
        percent_axes(upper, "xy")
        return as_svg(figure)


def precision_recall_plot(answers: Answers) -> str:
    """Precision against recall of the positive label at every threshold, and where a half puts it."""
    with style("precision-recall"):
        figure = new_figure(height=4.7)
        axes = figure.subplots()
        order = np.argsort(-answers.p_positive, kind="stable")
        right = np.cumsum(answers.labels[order])
        last = np.append(np.flatnonzero(np.diff(answers.p_positive[order])), len(answers) - 1)
        shown = np.unique(np.linspace(0, len(last) - 1, min(len(last), 400)).astype(int))
        ends = last[shown]
        axes.plot(right[ends] / right[-1], right[ends] / (ends + 1), color=BLUE)
        metrics = ClassificationMetrics.of(answers.labels, answers.predicted)
        axes.plot(metrics.recall, metrics.precision, "o", color=ORANGE, label="called positive above 50%")
        axes.set_xlabel("share of the positive texts found")
        axes.set_ylabel("share of the found that are positive")
        axes.set_ylim(top=1.02)
        axes.legend(loc="lower left")
        percent_axes(axes, "xy")
        return as_svg(figure)


def abstaining_plot(answers: Answers, chosen: Optional[AbstentionPoint]) -> str:
    """Precision and coverage of answering only from a confidence on."""
    with style("abstaining"):
        figure = new_figure()
        axes = figure.subplots()
        points = abstention_points(answers)
        confidences = [max(point.confidence, 0.5) for point in points]
        axes.plot(confidences, [point.precision for point in points], color=BLUE, label="answered rightly")
        axes.plot(confidences, [point.coverage for point in points], color=ORANGE, label="share answered")
        if chosen is not None:
            axes.axvline(chosen.confidence, color=INK, alpha=0.5, linestyle="--", linewidth=1, label="chosen")
        axes.set_xlabel("least confidence that is answered")
        axes.set_ylim(0, 1.02)
        axes.legend(loc="lower left")
        percent_axes(axes, "xy")
        return as_svg(figure)


def slices_plot(slices: Sequence[Slice], whole: float) -> str:
    """Accuracy of each slice with its interval, against that of the whole."""
    with style("slices"):
        figure = new_figure(height=0.9 + 0.42 * len(slices))
        axes = figure.subplots()
        places = np.arange(len(slices))[::-1]
        values = np.array([part.accuracy.value for part in slices])
        low = values - [part.accuracy.low for part in slices]
        high = np.array([part.accuracy.high for part in slices]) - values
        axes.axvline(whole, color=INK, alpha=0.45, linestyle="--", linewidth=1)
        axes.errorbar(values, places, xerr=np.maximum((low, high), 0), fmt="o", color=BLUE, capsize=3)
        axes.set_yticks(places, [short(part.name) for part in slices])
        axes.set_ylim(-0.6, len(slices) - 0.4)
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("answered rightly (dashed: all texts)")
        percent_axes(axes, "x")
        return as_svg(figure)
