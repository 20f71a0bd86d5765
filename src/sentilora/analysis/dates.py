"""Dates as people and programs write them, and the periods that they fall into."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date, datetime, timedelta, timezone
from functools import lru_cache
from typing import Literal, Optional, get_args

from sentilora.errors import ConfigError

Period = Literal["day", "week", "month", "year"]
PeriodChoice = Literal["auto", Period]
_PERIODS: tuple[Period, ...] = get_args(Period)  # the finest first

_YEARS = range(1900, 2101)  # what lies outside is a mistake, and each day would cost memory
_ISO = re.compile(r"(\d{4})[-/.](\d{1,2})(?:[-/.](\d{1,2})(?!\d)|(?![-/.]?\d))")
_COMPACT_TIME = re.compile(r"((?:19|20)\d\d)(0[1-9]|1[0-2])([0-2]\d|3[01])(?:[01]\d|2[0-3])[0-5]\d(?:[0-5]\d)?")
_COMPACT_HOUR = re.compile(r"(20\d\d)(0[1-9]|1[0-2])([0-2]\d|3[01])(?:[01]\d|2[0-3])")  # not the seconds of the 2030s
_COMPACT = re.compile(r"(\d{4})(\d{2})(\d{2})(?!\d)")
_YEAR = re.compile(r"((?:19|20)\d\d)(?:\.0)?")
_EPOCH = re.compile(r"(\d{9,19})(?:\.\d*)?")  # seconds have up to 10 digits, milliseconds up to 13, and so on
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTH = (
    "jan(?:uary)?|feb(?:ruary)?|mar(?:ch)?|apr(?:il)?|may|june?|july?|aug(?:ust)?|sept?(?:ember)?|oct(?:ober)?|"
    "nov(?:ember)?|dec(?:ember)?"
)
_NAMED = re.compile(
    rf"(?:(?<![\d:])(\d{{1,2}})(?:st|nd|rd|th)?[\s.,/-]+(?:of\s+)?)?\b({_MONTH})\b\.?"
    rf"(?:[\s,/-]+(\d{{1,2}})(?:st|nd|rd|th)?\b(?!:))?",
    re.IGNORECASE,
)
_FOUR_DIGITS = re.compile(r"(?<![\d+-])((?:19|20)\d\d)(?![\d:])|-((?:19|20)\d\d)(?![\d:])")
_TIME = re.compile(r"\d{1,2}:\d\d(?::\d\d(?:[.,]\d+)?)?|[+-]\d\d:?\d\d\b|\b\d{1,2}\s*[ap]\.?m\b", re.IGNORECASE)
_MAY_BE_A_DAY = re.compile(r"(?<!\d)\d{1,2}(?!\d)")
_TWO_WAYS = re.compile(r"\d{1,2}[-/.]\d{1,2}[-/.](?:\d{4}|\d{2})(?!\d)")

_MOST_POINTS, _FEWEST_TEXTS = 60, 20  # of a chosen period: points that can be told apart, texts that say something


def refuse_format(date_format: str) -> None:
    """Make sure that dates can be read by a format.

    Raises:
        ConfigError: It is none, or names no year.
    """
    try:
        if datetime.strptime(datetime(2025, 3, 4).strftime(date_format), date_format).year != 2025:
            raise ValueError("it names no year")
    except (ValueError, re.error) as error:
        raise ConfigError(f"--date-format {date_format}: {error}; write it as in %d/%m/%Y") from None


def is_ambiguous(written: str) -> bool:
    """Whether it is a date such as 3/4/2025, whose month only its writer knows."""
    return _TWO_WAYS.match(written.strip()) is not None


@lru_cache(maxsize=100_000)
def read_date(written: str, date_format: Optional[str] = None) -> Optional[date]:
    """The day of a date as it is written, in its own time zone; None for what is no date, or one of two readings.

    Args:
        written: Such as `2025-03-04`, `2025-03-04T05:06:07Z`, `20250304`, `20250304050607`, `2025-03`, `2025`,
            `4 March 2025`, `Tue Mar 04 05:06:07 +0000 2025`, or seconds or milliseconds (micro-, nanoseconds) since
            1970 (in UTC).
        date_format: How all of them are written, as `datetime.strptime` takes it; None for any of the above.
    """
    written = written.strip()
    try:
        day = _loosely(written) if date_format is None else datetime.strptime(written, date_format).date()
    except (ValueError, OverflowError):
        return None
    return day if day is not None and day.year in _YEARS else None


def _loosely(written: str) -> Optional[date]:
    if found := _ISO.match(written):
        return date(int(found[1]), int(found[2]), int(found[3] or 1))
    # Before numbers as long, which would be of the seventies.
    compact = _COMPACT_TIME.fullmatch(written) or _COMPACT_HOUR.fullmatch(written)
    if compact is None and (found := _EPOCH.fullmatch(written)):
        thousands = max(0, (len(found[1]) - 8) // 3)
        return datetime.fromtimestamp(int(found[1]) // 1000**thousands, timezone.utc).date()
    if found := compact or _COMPACT.match(written):
        return date(int(found[1]), int(found[2]), int(found[3]))
    if found := _YEAR.fullmatch(written):
        return date(int(found[1]), 1, 1)
    return _with_a_named_month(written)


def _with_a_named_month(written: str) -> Optional[date]:
    """Such as 4 March 2025; the first of the month only where no other number may be the day."""
    named, year = _NAMED.search(written), _FOUR_DIGITS.search(written)
    if named is None or year is None:
        return None
    day = named[1] or named[3]
    if day is None and _MAY_BE_A_DAY.search(_TIME.sub(" ", written)):
        return None
    return date(int(year[1] or year[2]), _MONTHS.index(named[2].lower()[:3]) + 1, int(day or 1))


def start_of(day: date, period: Period) -> date:
    """The first day of the period that a day falls into; weeks begin on Monday."""
    if period == "week":
        return day - timedelta(days=day.weekday())
    if period == "month":
        return day.replace(day=1)
    return day.replace(month=1, day=1) if period == "year" else day


def next_start(start: date, period: Period) -> date:
    """The first day of the period after the one that begins at `start`."""
    if period in ("day", "week"):
        return start + timedelta(days=7 if period == "week" else 1)
    return start_of(start + timedelta(days=31 if period == "month" else 366), period)


def name_of(start: date, period: Period) -> str:
    """A period for people: 2025-03-04, week of 2025-03-03, 2025-03, 2025."""
    if period == "week":
        return f"week of {start}"
    return str(start)[: {"day": 10, "month": 7, "year": 4}[period]]


def choose_period(texts: Mapping[date, int]) -> Period:
    """The finest period that gives at most 60 points, of 20 texts on average; the year where none does.

    Args:
        texts: How many texts there are of each day; at least one day.
    """
    first, last = min(texts), max(texts)
    for period in _PERIODS:
        length = {"day": 1, "week": 7, "month": 30.4, "year": 365}[period]
        filled = len({start_of(day, period) for day in texts})
        if (last - first).days / length < _MOST_POINTS and sum(texts.values()) / filled >= _FEWEST_TEXTS:
            return period
    return "year"
