"""Insights as one HTML file: no script, nothing fetched from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from markupsafe import Markup, escape

from sentilora.analysis.insights import Insights, Part
from sentilora.analysis.shares import Trend
from sentilora.analysis.terms import Term
from sentilora.reporting.plots import time_plot
from sentilora.reporting.templates import render

_TERMS_SHOWN = 20
_NAMED = 5  # words in the verdict
_APOSTROPHES = "['\N{RIGHT SINGLE QUOTATION MARK}]"


def insights_page(found: Insights) -> str:
    """The whole page."""
    sides = ("negative", "positive")
    plot = None
    if found.period is not None and len(found.over_time) > 1:
        plot = Markup(time_plot(found.over_time, found.period, found.overall))  # noqa: S704 - our own
    return render(
        "insights.html.j2",
        found=found,
        described=found.describe(),
        verdict=" ".join(_verdict(found)),
        plot=plot,
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
        words = [term.term for term in getattr(found.words, side) if abs(term.z) >= found.words.sure_z][:_NAMED]
        if words:
            yield f"What tells {side} texts most: {', '.join(words)}."
        else:
            yield f"No word tells {side} texts more surely than chance would."


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
