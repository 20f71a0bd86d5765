"""Insights as one HTML file: no script, nothing fetched from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import date
from typing import Any, cast

import matplotlib.dates as mdates
import numpy as np
from markupsafe import Markup, escape

from sentilora.analysis.dates import Period, next_start
from sentilora.analysis.insights import Insights, Part
from sentilora.analysis.shares import Share, Trend
from sentilora.analysis.terms import Term
from sentilora.reporting.drawing import BLUE, INK, ORANGE, as_svg, new_figure, percent_axes, style
from sentilora.reporting.templates import render

_TERMS_SHOWN = 20
_NAMED = 5  # words in the verdict
_DAYS = {"day": 1, "week": 7, "month": 30, "year": 365}
_APOSTROPHES = "['\N{RIGHT SINGLE QUOTATION MARK}]"


def insights_page(found: Insights) -> str:
    """The whole page."""
    sides = ("negative", "positive")
    return render(
        "insights.html.j2",
        found=found,
        described=found.describe(),
        verdict=" ".join(_verdict(found)),
        plot=Markup(_time_plot(found.over_time, found.period, found.overall)) if len(found.over_time) > 1 else None,  # noqa: S704 - our own
        terms={
            side: {kind: getattr(getattr(found, kind), side)[:_TERMS_SHOWN] for kind in ("words", "phrases")}
            for side in sides
        },
        most={kind: max((abs(term.z) for term in _both(found, kind)), default=1.0) for kind in ("words", "phrases")},
        telling={
            side: [(telling, _marked(telling.passage, _of_side(found, side))) for telling in found.telling[side]]
            for side in sides
        },
    )


def _both(found: Insights, kind: str) -> list[Term]:
    terms = getattr(found, kind)
    return [*terms.negative, *terms.positive]


def _of_side(found: Insights, side: str) -> list[str]:
    return [term.term for terms in (found.words, found.phrases) for term in getattr(terms, side)]


def _verdict(found: Insights) -> Iterator[str]:
    overall = found.overall
    if overall.share is not None:
        sure = "" if not overall.uncertain else f" that the model was sure of ({overall.uncertain:,} are uncertain)"
        yield (
            f"{overall.share.value:.1%} of the {overall.negative + overall.positive:,} texts{sure} are positive "
            f"(95% interval {overall.share.low:.1%} to {overall.share.high:.1%})."
        )
    if found.trend is not None:
        yield _trend(found.trend)
    for by, parts in (((found.period or "period"), found.over_time), *found.by.items()):
        yield from _extremes(by, parts)
    for side in ("negative", "positive"):
        words = [term.term for term in getattr(found.words, side)[:_NAMED]]
        if words:
            yield f"What tells {side} texts most: {', '.join(words)}."


def _trend(trend: Trend) -> str:
    change = trend.change
    span = f"between {trend.first} and {trend.last}"
    if not trend.clear:
        return f"There is no steady trend {span}."
    which = "rose" if change.value > 0 else "fell"
    return (
        f"The share {which} by {abs(100 * change.value):.1f} points {span}, along a straight line "
        f"(95% interval {100 * change.low:+.1f} to {100 * change.high:+.1f})."
    )


def _extremes(by: str, parts: Sequence[Part]) -> Iterator[str]:
    """The part that is least positive of those that stand out, and the one that is most."""
    clear = [(part.share.share.value, part.name) for part in parts if part.stands_out and part.share.share is not None]
    if not clear:
        return
    (low, lowest), (high, highest) = min(clear), max(clear)
    if lowest == highest:
        yield f"By {by}, {lowest} ({low:.1%}) stands out."
    else:
        yield (
            f"By {by}, of those that stand out, {lowest} ({low:.1%}) is the least and {highest} ({high:.1%}) the most "
            "positive."
        )


def _time_plot(parts: Sequence[Part], period: Any, overall: Share) -> str:
    """The share of each period with its interval, and below it the number of texts."""
    with style("over-time"):
        figure = new_figure(height=4.0, width=10.4)
        upper, lower = figure.subplots(2, sharex=True, height_ratios=(3, 1))
        days, low, value, high = _line(parts, cast(Period, period))
        upper.fill_between(days, low, high, color=BLUE, alpha=0.18, linewidth=0)
        upper.plot(days, value, "o-", color=BLUE, markersize=4)
        for part in parts:
            if part.stands_out and part.share.share is not None:
                upper.plot([mdates.date2num(part.start)], [part.share.share.value], "o", color=ORANGE, markersize=7)
        if overall.share is not None:
            upper.axhline(overall.share.value, color=INK, alpha=0.45, linestyle="--", linewidth=1)
        upper.set_ylabel("positive")
        percent_axes(upper, "y")
        starts = [mdates.date2num(part.start) for part in parts]
        lower.bar(starts, [part.share.texts for part in parts], 0.8 * _DAYS[period], color=BLUE, alpha=0.55)
        lower.set_ylabel("texts")
        locator = mdates.AutoDateLocator(minticks=3, maxticks=12)
        lower.xaxis.set_major_locator(locator)
        lower.xaxis.set_major_formatter(mdates.ConciseDateFormatter(locator))
        lower.grid(visible=False)
        return as_svg(figure)


def _line(parts: Sequence[Part], period: Period) -> tuple[list[float], list[float], list[float], list[float]]:
    """Days, lower ends, shares, upper ends; not a number where a period has no share, so that the line is broken."""
    days: list[date] = []
    intervals: list[tuple[float, float, float]] = []
    nothing = (np.nan, np.nan, np.nan)
    for part in parts:
        if days and part.start is not None and next_start(days[-1], period) < part.start:
            days.append(next_start(days[-1], period))
            intervals.append(nothing)
        share = part.share.share
        days.append(cast(date, part.start))
        intervals.append(nothing if share is None else (share.low, share.value, share.high))
    low, value, high = (list(numbers) for numbers in zip(*intervals))
    return [float(mdates.date2num(day)) for day in days], low, value, high


def _marked(passage: str, terms: Sequence[str]) -> Markup:
    """The passage with the terms marked."""
    if not terms:
        return escape(passage)
    patterns = [
        r"\W+".join(re.escape(word).replace("'", _APOSTROPHES) for word in term.split())
        for term in sorted(terms, key=len, reverse=True)
    ]
    pieces = re.split(rf"(?<!\w)({'|'.join(patterns)})(?!\w)", passage, flags=re.IGNORECASE)
    # Every other piece is a term.
    return Markup("").join(
        Markup("<mark>{}</mark>").format(piece) if place % 2 else escape(piece) for place, piece in enumerate(pieces)
    )
