"""What scored texts say: how positive, when and where, in which words."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Optional, Union, get_args

from sentilora.analysis.dates import (
    Period,
    PeriodChoice,
    choose_period,
    is_ambiguous,
    name_of,
    read_date,
    refuse_format,
    start_of,
)
from sentilora.analysis.shares import Share, Tally, Trend, stands_out, trend_of
from sentilora.analysis.slices import NO_VALUE
from sentilora.analysis.telling import SurestTexts, TellingText, choose_telling
from sentilora.analysis.terms import MOST_TERMS, TermCounts, Terms
from sentilora.artifacts import PathLike
from sentilora.errors import ConfigError, DataError
from sentilora.inference.abstention import UNCERTAIN
from sentilora.labels import SENTIMENT
from sentilora.notes import Notes
from sentilora.progress import Progress
from sentilora.tables.inputs import TableName, find_inputs
from sentilora.tables.scored import REJECTS, ScoredColumns, ScoredRows, read_scored
from sentilora.tables.sources import FROM_PYTHON, SupportsArrow

_MOST_VALUES = 10_000  # of a column that are counted: bounds the memory
_LONGEST_VALUE = 200  # characters: the same
_SHOWN_VALUES = 100
_OTHERS = "(other values)"
_SENTIMENTS = (*SENTIMENT.names, UNCERTAIN)
_SAY_FORMAT = "say how dates are written with --date-format, such as %d/%m/%Y"
_NO_DATE = "they have no date"
_TWO_WAYS = "dates written so may be read in two ways"


@dataclass(frozen=True)
class Part:
    """Some of the texts.

    Attributes:
        name: The period or the value that they share.
        start: The first day of a period; None for a value.
        share: How positive they are.
        stands_out: Whether they are more or less positive than the rest, and hardly by chance.
    """

    name: str
    start: Optional[date]
    share: Share
    stands_out: bool


@dataclass(frozen=True)
class Insights:
    """What was found.

    Attributes:
        source: Where the rows are from.
        rows: How many there are, those left out included.
        left_out: Rows that count nowhere, by reason.
        overall: How positive all texts are.
        period: What `over_time` is in steps of; None without dates.
        over_time: Periods with texts, the earliest first.
        undated: Rows that count but in `over_time`, by reason.
        trend: Over the days; None where fewer than three have texts that count.
        by: For each column that was asked for, its values, the most frequent first; the rarest are one.
        words: That tell negative from positive texts.
        phrases: The same, of two and three words.
        telling: Passages with the terms of negative texts, and with those of positive ones.
        notes: What was assumed, and what is not exact.
    """

    source: str
    rows: int
    left_out: dict[str, int]
    overall: Share
    period: Optional[Period]
    over_time: list[Part]
    undated: dict[str, int]
    trend: Optional[Trend]
    by: dict[str, list[Part]]
    words: Terms
    phrases: Terms
    telling: dict[str, list[TellingText]]
    notes: tuple[str, ...]

    def describe(self) -> str:
        """One line: how many rows, from where, and what was left out."""
        line = f"{self.rows:,} rows from {self.source}"
        return line + "".join(f"; {count:,} left out: {reason}" for reason, count in self.left_out.items())


def insights(
    scored: Union[PathLike, Sequence[PathLike], SupportsArrow],
    *,
    by: Sequence[str] = (),
    text_column: Optional[str] = None,
    date_column: Optional[str] = None,
    date_format: Optional[str] = None,
    period: PeriodChoice = "auto",
    format: Optional[str] = None,
) -> Insights:
    """Read scored rows once, in bounded memory, and say what is in them.

    Args:
        scored: What `score` wrote: files, folders of them, patterns, URLs, `-`; or a data frame made of one.
        by: Columns whose values are compared.
        text_column: With the texts, where it has no usual name.
        date_column: With the dates, where it has no usual name.
        date_format: How the dates are written, as `datetime.strptime` takes it; not needed where there is no doubt.
        period: The steps of time; `auto` takes the finest that has enough texts.
        format: What standard input holds: `csv`, `tsv` or `jsonl`.

    Raises:
        ConfigError: `date_format` is none or names no year, or there is no such period.
        DataError: There are no such rows, they lack a column, none is negative or positive, or a date column that was
            named holds no date.
    """
    columns = ScoredColumns(text_column, date_column, tuple(by))
    if period not in get_args(PeriodChoice):
        raise ConfigError(f"period={period}: choose {', '.join(get_args(PeriodChoice))}")
    if date_format is not None:
        refuse_format(date_format)
    sources, source = _sources(scored, format)
    count = _Count(columns, date_format)
    with Progress("reading", None, "rows") as progress:
        for rows in _all_rows(sources, columns):
            count.add(rows)
            progress.advance(len(rows.texts) + rows.broken)
    found = count.insights(source, period)
    if date_column is not None or date_format is not None:
        count.require_dates()
    return found


def _sources(
    scored: Union[PathLike, Sequence[PathLike], SupportsArrow], format_of_standard: Optional[str]
) -> tuple[Sequence[Union[TableName, SupportsArrow]], str]:
    """Where the rows are, and how to call it."""
    if isinstance(scored, (str, os.PathLike)):
        scored = [scored]
    if not isinstance(scored, (list, tuple)):
        return [scored], FROM_PYTHON  # type: ignore[list-item] # a sequence is no frame
    inputs = find_inputs([os.fspath(name) for name in scored], format_of_standard)
    names = [name for name in inputs if not name.name.endswith(REJECTS)]
    if not names:
        raise DataError(f"{inputs[0].name} lists rows that were not scored: name the scored ones")
    if len(names) == 1:
        return names, "standard input" if names[0].is_standard else names[0].name
    return names, f"{len(names)} files ({names[0].name}, ...)"


def _all_rows(sources: Iterable[Union[TableName, SupportsArrow]], columns: ScoredColumns) -> Iterator[ScoredRows]:
    for source in sources:
        yield from read_scored(source, columns)


class _Count:
    """Counts rows as they come."""

    def __init__(self, columns: ScoredColumns, date_format: Optional[str]) -> None:
        self._date_format = date_format
        self._rows = 0
        self._left_out: Counter[str] = Counter()
        self._without_text = 0
        self._overall = Tally()
        self._date_columns: list[str] = []
        self._undated: Counter[str] = Counter()
        self._odd_date = ""
        self._days: dict[date, Tally] = {}
        self._values: dict[str, dict[str, Tally]] = {name: {} for name in columns.by}
        self._terms = TermCounts()
        self._surest = (SurestTexts(), SurestTexts())

    def add(self, rows: ScoredRows) -> None:
        """Count some rows."""
        self._rows += len(rows.texts) + rows.broken
        if rows.broken:
            self._left_out["they cannot be read"] += rows.broken
        if rows.date_column is not None and rows.date_column not in self._date_columns:
            self._date_columns.append(rows.date_column)
        for place, written in enumerate(rows.sentiments):
            sentiment = (written or "").casefold()
            if sentiment not in _SENTIMENTS:
                self._left_out[f"their sentiment is none of {', '.join(_SENTIMENTS)}"] += 1
                continue
            p_positive = rows.p_positive[place]
            for tally in self._tallies(rows, place):
                tally.add(sentiment, p_positive)
            if sentiment != UNCERTAIN:
                self._add_text(rows.texts[place], SENTIMENT.names.index(sentiment), p_positive)

    def insights(self, source: str, period: PeriodChoice) -> Insights:
        """What was counted, as far as it says something.

        Raises:
            DataError: No text is negative or positive.
        """
        overall = self._overall.share()
        if overall.share is None and overall.uncertain:
            raise DataError(
                f"{source}: all {overall.uncertain:,} texts are uncertain, so there is nothing to compare: score them "
                "with a lower --precision, or without one"
            )
        if overall.share is None:
            raise DataError(
                f"{source} holds no text that is negative or positive: name what `sentilora score` wrote with a model "
                "that knows them"
            )
        words, phrases = self._terms.find("words"), self._terms.find("phrases")
        telling = {
            name: choose_telling(
                self._surest[label], [*getattr(words, name), *getattr(phrases, name)], positive=bool(label)
            )
            for label, name in enumerate(SENTIMENT.names)
        }
        chosen = None if not self._days else self._chosen_period(period)
        return Insights(
            source=source,
            rows=self._rows,
            left_out=dict(self._left_out),
            overall=overall,
            period=chosen,
            over_time=[] if chosen is None else _over_time(self._days, chosen, overall),
            undated=dict(self._undated) if self._date_columns else {},
            trend=trend_of(self._days),
            by={name: _values(tallies, overall) for name, tallies in self._values.items()},
            words=words,
            phrases=phrases,
            telling=telling,
            notes=tuple(self._notes()),
        )

    def require_dates(self) -> None:
        """Refuse to go without dates where the user spoke of them.

        Raises:
            DataError: No row has a date.
        """
        if not self._date_columns:
            raise DataError("no column has a usual name for dates: name it with --date-column")
        if not self._days:
            odd = f" ('{self._odd_date}', say)" if self._odd_date else ""
            raise DataError(f"column '{self._date_columns[0]}' holds no date that can be read{odd}: {_SAY_FORMAT}")

    def _tallies(self, rows: ScoredRows, place: int) -> Iterator[Tally]:
        """Where a row counts."""
        yield self._overall
        day = self._day(rows.dates[place])
        if day is not None:
            yield self._days.setdefault(day, Tally())
        for name, values in rows.groups.items():
            tallies = self._values[name]
            value = (values[place] or NO_VALUE)[:_LONGEST_VALUE]
            if value not in tallies and len(tallies) >= _MOST_VALUES:
                value = _OTHERS
            yield tallies.setdefault(value, Tally())

    def _day(self, written: Optional[str]) -> Optional[date]:
        if written is None or not written.strip():
            self._undated[_NO_DATE] += 1
            return None
        day = read_date(written, self._date_format)
        if day is None:
            two_ways = self._date_format is None and is_ambiguous(written)
            self._undated[_TWO_WAYS if two_ways else "their date is none"] += 1
            self._odd_date = self._odd_date or written[:40]
        return day

    def _add_text(self, text: Optional[str], label: int, p_positive: Optional[float]) -> None:
        if text is None:
            self._without_text += 1
            return
        self._terms.add(text, label)
        if p_positive is not None:
            self._surest[label].add(text, p_positive if label else 1 - p_positive)

    def _chosen_period(self, period: PeriodChoice) -> Period:
        if period != "auto":
            return period
        return choose_period({day: tally.texts for day, tally in self._days.items()})

    def _notes(self) -> Notes:
        notes = Notes()
        if not self._date_columns:
            notes.say("no dates: no column has a usual name for them; name one with --date-column")
        else:
            notes.say(f"dates: from column {' and '.join(map(repr, self._date_columns))}")
        if self._odd_date:
            odd = sum(count for reason, count in self._undated.items() if reason != _NO_DATE)
            notes.say(f"dates: {odd:,} are not read, such as '{self._odd_date}': {_SAY_FORMAT}")
        if self._date_columns and self._undated[_NO_DATE]:
            notes.say(f"dates: {self._undated[_NO_DATE]:,} rows have none: they count, but not over time")
        for name, tallies in self._values.items():
            if _OTHERS in tallies:
                notes.say(f"{name}: more than {_MOST_VALUES:,} values; the later ones count as one")
        if self._without_text:
            notes.say(f"{self._without_text:,} rows have no text: they count, but for the words")
        if self._terms.lost:
            notes.say(
                f"words and phrases: more than {MOST_TERMS:,} different ones, the rarest of which were forgotten on "
                f"the way; counts of texts may be up to {self._terms.lost:,} too low"
            )
        return notes


def _over_time(days: Mapping[date, Tally], period: Period, overall: Share) -> list[Part]:
    periods: dict[date, Tally] = {}
    for day in sorted(days):
        periods.setdefault(start_of(day, period), Tally()).merge(days[day])
    return [
        _part(name_of(start, period), start, tally.share(), overall, len(periods)) for start, tally in periods.items()
    ]


def _values(tallies: dict[str, Tally], overall: Share) -> list[Part]:
    """The most frequent values, and one part of all others."""
    ordered = sorted(tallies, key=lambda name: (name == _OTHERS, -tallies[name].texts, name))
    shown = {name: tallies[name] for name in ordered[:_SHOWN_VALUES]}
    for name in ordered[_SHOWN_VALUES:]:
        shown.setdefault(_OTHERS, Tally()).merge(tallies[name])
    return [_part(name, None, tally.share(), overall, len(shown)) for name, tally in shown.items()]


def _part(name: str, start: Optional[date], share: Share, overall: Share, among: int) -> Part:
    return Part(name, start, share, stands_out(share, overall, among))
