"""Insights count right, find what was planted, say what they left out, and show it on a page that stands alone."""

from __future__ import annotations

import csv
import gzip
import json
import math
import random
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Optional

import numpy as np
import openpyxl
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import fisher_exact

import sentilora
from sentilora.analysis.dates import choose_period, name_of, next_start, read_date, start_of
from sentilora.analysis.insights import Insights, insights
from sentilora.analysis.intervals import student, wilson
from sentilora.analysis.shares import Tally, stands_out, trend_of
from sentilora.analysis.terms import TermCounts, terms_of
from sentilora.cli.app import cli
from sentilora.errors import ConfigError, DataError
from sentilora.reporting.insights import insights_page
from sentilora.tables import LabelledTexts
from test_cli import sentilora_command

BAD = ("The zip broke.", "Soup was cold!", "Nobody answered the phone.", "We waited two hours.", "It was not worth it.")
GOOD = ("Lovely staff.", "Soup was hot!", "They answered at once.", "What a splendid evening.", "Well worth it.")
FIRST = date(2025, 1, 6)  # a Monday


def scored_rows(n: int = 900) -> list[dict[str, object]]:
    """Rows as `score` writes them. Of shop south fewer are positive, and ever fewer towards the end."""
    rng = random.Random(0)
    rows = []
    for number in range(n):
        shop = ("north", "south")[number % 2]
        positive = rng.random() < (0.8 if shop == "north" else 0.6) - 0.4 * number / n
        sentences = rng.sample(GOOD if positive else BAD, 3)
        p_positive = round(0.5 + (0.5 if positive else -0.5) * rng.random(), 6)
        sure = abs(p_positive - 0.5) >= 0.05
        rows.append(
            {
                "when": str(FIRST + timedelta(days=70 * number // n)),
                "shop": shop,
                "text": f"{' '.join(sentences)} Visit {number}.",
                "sentiment": ("negative", "positive")[positive] if sure else "uncertain",
                "p_positive": p_positive,
                "confidence": max(p_positive, 1 - p_positive),
                "truncated": False,
            }
        )
    return rows


def write_csv(path: Path, rows: list[dict[str, object]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_csv(tmp_path_factory.mktemp("scored") / "scored.csv", scored_rows())


@pytest.fixture(scope="module")
def found(scored: Path) -> Insights:
    return sentilora.insights(scored, by=["shop"], date_column="when")


def test_shares_are_counted_over_time_and_by_group(found: Insights) -> None:
    rows = scored_rows()
    counts = Counter(row["sentiment"] for row in rows)
    overall = found.overall
    assert found.rows == overall.texts == 900
    assert (overall.negative, overall.positive, overall.uncertain) == (
        *(counts[name] for name in ("negative", "positive")),
        counts["uncertain"],
    )
    assert counts["uncertain"] > 0
    assert overall.share == wilson(counts["positive"], counts["negative"] + counts["positive"])
    assert overall.expected == pytest.approx(sum(float(str(row["p_positive"])) for row in rows) / 900)

    assert found.period == "week"
    assert [part.start for part in found.over_time] == [FIRST + timedelta(weeks=week) for week in range(10)]
    assert sum(part.share.texts for part in found.over_time) == 900
    first = Counter(row["sentiment"] for row in rows if str(row["when"]) < str(FIRST + timedelta(weeks=1)))
    assert (found.over_time[0].share.negative, found.over_time[0].share.positive) == (
        first["negative"],
        first["positive"],
    )
    assert 0 < sum(part.stands_out for part in found.over_time) < 10
    assert found.trend is not None
    assert found.trend.clear
    assert found.trend.change.value == pytest.approx(-0.4, abs=0.1)

    parts = {part.name: part for part in found.by["shop"]}
    assert set(parts) == {"north", "south"}
    assert parts["north"].stands_out
    assert parts["north"].share.share.value > parts["south"].share.share.value  # type: ignore[union-attr]
    assert parts["north"].share.texts == 450


def test_words_phrases_and_texts_tell_the_sides_apart(found: Insights) -> None:
    negative = {term.term for term in (*found.words.negative, *found.phrases.negative)}
    positive = {term.term for term in (*found.words.positive, *found.phrases.positive)}
    assert {"zip", "cold", "nobody", "not", "zip broke", "two hours", "not worth"} <= negative
    assert {"lovely", "hot", "splendid", "lovely staff", "well worth"} <= positive
    assert not {"soup", "was", "the"} & (negative | positive)
    assert not any("broke soup" in term for term in negative)  # which no one wrote: a stop is between
    for side, sentences, others in (("negative", BAD, GOOD), ("positive", GOOD, BAD)):
        telling = found.telling[side]
        assert telling
        assert any(sentence in telling[0].passage for sentence in sentences)
        assert not any(sentence in text.passage for text in telling for sentence in others)
        shown = [term for text in telling for term in text.terms]
        assert len(shown) == len(set(shown))


def test_log_odds_are_those_of_the_paper() -> None:
    """By equations 15, 16, 20 and 22, with the prior spread as the words of all texts are."""
    counts = TermCounts()
    for text, label in [("bad soup", 0)] * 6 + [("bad bad tea", 0)] * 2 + [("good soup", 1)] * 5 + [("bad joke", 1)]:
        counts.add(text, label)
    (bad,) = [term for term in counts.find("words").negative if term.term == "bad"]
    assert (bad.negative, bad.positive) == (8, 1)
    totals, prior = (16, 12), 2.8 * 9 / 28  # worth a tenth of the 28 words
    odds = [(y + prior) / (n + 2.8 - y - prior) for y, n in zip((8, 1), totals)]
    assert bad.log_odds == pytest.approx(math.log(odds[1] / odds[0]))
    assert bad.z == pytest.approx(bad.log_odds / math.sqrt(1 / (8 + prior) + 1 / (1 + prior)))


def test_few_equal_texts_break_nothing() -> None:
    counts = TermCounts()
    for label in (0, 1, 1, 1):
        counts.add("great", label)
    assert counts.find("words").positive == counts.find("phrases").positive == []


@settings(max_examples=50)
@given(st.lists(st.tuples(st.lists(st.sampled_from("bcdefgh"), max_size=6).map(" ".join), st.booleans())))
def test_what_is_forgotten_is_bounded_and_said(texts: list[tuple[str, bool]]) -> None:
    small, whole = TermCounts(most=30), TermCounts()
    true: Counter[tuple[str, bool]] = Counter()
    for text, positive in texts:
        small.add(text, int(positive))
        whole.add(text, int(positive))
        true.update((term, positive) for terms in terms_of(text).values() for term in set(terms))
    assert whole.lost == 0
    for kind in ("words", "phrases"):
        terms = small.find(kind)
        for term in (*terms.negative, *terms.positive):
            both = true[term.term, False] + true[term.term, True]
            assert 0 <= both - (term.negative + term.positive) <= small.lost


def test_a_large_vocabulary_is_pruned_and_what_matters_stays() -> None:
    rng = random.Random(0)
    counts = TermCounts(most=2000)
    for number in range(2000):
        label = number % 2
        counts.add(f"{'dreadful' if rng.random() < 0.3 and not label else 'plain'} word{number} other{number}", label)
    assert counts.lost > 0
    assert counts.find("words").negative[0].term == "dreadful"


def test_every_format_gives_the_same(scored: Path, found: Insights, tmp_path: Path) -> None:
    rows = scored_rows()
    write_csv(tmp_path / "a.tsv", rows, "\t")
    with gzip.open(tmp_path / "b.jsonl.gz", "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    typed = [{**row, "when": date.fromisoformat(str(row["when"]))} for row in rows]
    pyarrow.parquet.write_table(pa.Table.from_pylist(typed), tmp_path / "c.parquet")
    book = openpyxl.Workbook()
    for row in (list(rows[0]), *(list(row.values()) for row in typed)):
        book.active.append(row)
    book.save(tmp_path / "d.xlsx")
    write_csv(tmp_path / "part-1.csv", rows[:400])
    write_csv(tmp_path / "part-2.csv", rows[400:])
    (tmp_path / "part-2.csv.rejects.jsonl").write_text('{"file": "x", "row": 1, "reason": "holds no text"}\n', "utf-8")
    frames = [pd.DataFrame(typed), pl.DataFrame(typed), pd.read_csv(scored)]
    files = [tmp_path / name for name in ("a.tsv", "b.jsonl.gz", "c.parquet", "d.xlsx", "part-*")]
    for source in [*files, *frames]:
        other = insights(source, by=["shop"], date_column="when")
        assert other.over_time == found.over_time
        assert other.by == found.by
        assert (other.overall, other.words, other.telling) == (found.overall, found.words, found.telling)


def test_what_does_not_count_is_said(tmp_path: Path) -> None:
    rows = scored_rows(60)
    rows[0]["when"] = ""
    rows[1]["when"] = "yesterday"
    rows[2]["when"] = "3/4/2025"
    rows[3]["sentiment"] = ""
    rows[4]["sentiment"] = "mixed"
    rows[5]["text"] = ""
    rows[6]["shop"] = ""
    path = write_csv(
        tmp_path / "odd.csv", [{"date" if name == "when" else name: row[name] for name in row} for row in rows]
    )
    with path.open("a", encoding="utf-8") as file:
        file.write("a line that,is cut\n")
    found = insights(path, by=["shop"])
    assert found.rows == 61
    assert sum(found.left_out.values()) == 3
    assert found.overall.texts == 58
    assert found.undated == {
        "they have no date": 1,
        "their date is none": 1,
        "dates written so may be read in two ways": 1,
    }
    assert sum(part.share.texts for part in found.over_time) == 55
    assert ("(no value)", 1) in [(part.name, part.share.texts) for part in found.by["shop"]]
    said = " ".join(found.notes)
    assert "'yesterday'" in said
    assert "--date-format" in said
    assert "1 rows have no text" in said
    assert "dates: 1 rows have none" in said


def test_a_date_format_settles_what_two_readings_leave_open(tmp_path: Path) -> None:
    rows = scored_rows(60)
    for row in rows:
        row["when"] = "03/04/2025"
    path = write_csv(tmp_path / "uk.csv", rows)
    with pytest.raises(DataError, match="--date-format"):
        insights(path, date_column="when")
    with pytest.raises(DataError, match="--date-column"):
        insights(path, date_format="%d/%m/%Y")
    found = insights(path, date_column="when", date_format="%d/%m/%Y", period="day")
    assert [part.start for part in found.over_time] == [date(2025, 4, 3)]


DAYS = st.dates(date(1973, 3, 5), date(2099, 12, 31))


@given(DAYS)
def test_dates_are_read_as_they_are_written(day: date) -> None:
    noon = datetime(day.year, day.month, day.day, 12, tzinfo=timezone.utc)
    written = [
        *(str(day), noon.isoformat(), f"{day}T12:00:00.123Z", f"{day} 23:59:59+05:30", day.strftime("%Y%m%d")),
        *(day.strftime("%d %B %Y"), day.strftime("%B %d, %Y"), day.strftime("%d-%b-%Y"), day.strftime("%b %d %Y")),
        *(noon.strftime("%a, %d %b %Y %H:%M:%S +0000"), noon.strftime("%a %b %d %H:%M:%S +0000 %Y")),
        *(noon.strftime("%Y%m%d%H%M%S"), noon.strftime("%Y%m%d%H%M"), f"{int(noon.timestamp()) * 1000}"),
    ]
    for each in written:
        assert read_date(each) == day, each
    for period in ("day", "week", "month", "year"):
        start = start_of(day, period)
        assert start <= day < next_start(start, period)
        assert start_of(start, period) == start
        assert name_of(start, period)


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_none(written: str) -> None:
    day = read_date(written)
    assert day is None or 1900 <= day.year <= 2100


@pytest.mark.parametrize(
    "written", ["", "3/4/2025", "2025-13-01", "12:30", "maybe 2025", "9999999999999999999999", "0"]
)
def test_what_is_no_date_is_none(written: str) -> None:
    assert read_date(written) is None


@pytest.mark.parametrize(
    ("written", "day"),
    [
        ("04/Mar/2025", date(2025, 3, 4)),
        ("4th of April 2025", date(2025, 4, 4)),
        ("April, 9 2025", date(2025, 4, 9)),
        ("17. März 2025", None),
        ("March 2025", date(2025, 3, 1)),
        ("Mar 2025 05:06 pm", date(2025, 3, 1)),
        ("the 4, in March 2025", None),
        ("2025-03-123", None),
        ("2025-03-04-05.06.07", date(2025, 3, 4)),
        ("2025030405", date(2025, 3, 4)),
        ("1741064767", date(2025, 3, 4)),
    ],
)
def test_no_day_is_lost(written: str, day: Optional[date]) -> None:
    assert read_date(written) == day


def test_the_period_has_enough_texts_and_not_too_many_points() -> None:
    def spread(days: int, a_day: int) -> dict[date, int]:
        return {FIRST + timedelta(days=day): a_day for day in range(days)}

    assert choose_period(spread(30, 50)) == "day"
    assert choose_period(spread(30, 5)) == "week"
    assert choose_period(spread(300, 50)) == "week"
    assert choose_period(spread(1000, 50)) == "month"
    assert choose_period(spread(4000, 50)) == "year"
    assert choose_period(spread(3, 1)) == "year"


@settings(max_examples=200)
@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 400)), min_size=2, max_size=6))
def test_standing_out_is_fishers_exact_test(counts: list[tuple[int, int]]) -> None:
    parts = [Tally(negative=negative, positive=positive) for negative, positive in counts]
    whole = Tally()
    for part in parts:
        whole.merge(part)
    rest = (whole.negative - parts[0].negative, whole.positive - parts[0].positive)
    p = fisher_exact([[parts[0].negative, parts[0].positive], list(rest)]).pvalue
    if abs(p - 0.05) > 1e-6:
        assert stands_out(parts[0].share(), whole.share(), 1) == (p < 0.05)


def drawn(rng: random.Random, share: float, groups: int, texts: int) -> tuple[list[Tally], Tally]:
    """Groups of so many texts, of which the same share is positive, and all of them together."""
    parts, whole = [], Tally()
    for _ in range(groups):
        positive = sum(rng.random() < share for _ in range(texts))
        parts.append(Tally(negative=texts - positive, positive=positive))
        whole.merge(parts[-1])
    return parts, whole


def test_a_few_texts_of_many_groups_do_not_stand_out() -> None:
    """Where 95 of 100 texts are positive, one negative text of three is no news."""
    rng = random.Random(2)
    out = 0
    for _ in range(100):
        parts, whole = drawn(rng, 0.95, 50, 3)
        out += any(stands_out(part.share(), whole.share(), 50) for part in parts)
    assert out <= 10


def test_columns_that_come_late_in_json_lines_count(tmp_path: Path) -> None:
    row = {"text": "fine", "sentiment": "positive", "p_positive": 0.9}
    late = [{**row, "date": f"2025-03-{day:02d}", "shop": "north"} for day in range(1, 11)]
    path = tmp_path / "late.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in [row] * 4096 + late), "utf-8")
    found = insights(path, by=["shop"], period="day")
    assert len(found.over_time) == 10
    assert {part.name for part in found.by["shop"]} == {"north", "(no value)"}
    with pytest.raises(DataError, match="has no column 'product'"):
        insights(path, by=["product"])


@pytest.mark.parametrize("date_format", ["%d/%d/%Y", "%q", "%d/%m", "%H:%M"])
def test_what_is_no_format_of_dates_is_one_line(tmp_path: Path, date_format: str) -> None:
    (tmp_path / "s.csv").write_text("text,sentiment,p_positive,date\nfine,positive,0.9,1/2/2025\n", "utf-8")
    with pytest.raises(ConfigError, match=r"--date-format .*write it as in"):
        insights(tmp_path / "s.csv", date_format=date_format)


def test_a_period_that_is_none_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="period=quarter: choose auto, day, week, month, year"):
        insights(tmp_path / "s.csv", period="quarter")  # type: ignore[arg-type]


def test_chance_does_not_stand_out() -> None:
    """In 1 of 20 sets of ten equal parts may one stand out; and in 1 of 20 equal series a trend be clear."""
    rng = random.Random(1)
    parts_out = trends = 0
    for _ in range(200):
        parts, whole = drawn(rng, 0.7, 10, 40)
        parts_out += any(stands_out(part.share(), whole.share(), 10) for part in parts)
        trend = trend_of({FIRST + timedelta(days=day): part for day, part in enumerate(parts)})
        assert trend is not None
        trends += trend.clear
    assert parts_out <= 25
    assert trends <= 25


@pytest.mark.parametrize(("freedom", "quantile"), [(1, 12.7062), (2, 4.3027), (10, 2.2281), (1000, 1.9623)])
def test_few_days_take_students_quantile(freedom: int, quantile: float) -> None:
    assert student(freedom) == pytest.approx(quantile, abs=1e-4)


@pytest.mark.parametrize("days", [3, 4, 6, 10])
def test_few_days_whose_texts_go_together_make_no_trend(days: int) -> None:
    """Each day has a share of its own, drawn around the same: in 1 of 20 such series may a trend be clear."""
    rng = random.Random(days)
    clear = 0
    for _ in range(400):
        series = {}
        for day in range(days):
            share = rng.gauss(0.7, 0.1)
            positive = sum(rng.random() < share for _ in range(50))
            series[FIRST + timedelta(days=day)] = Tally(positive=positive, negative=50 - positive)
        trend = trend_of(series)
        assert trend is not None
        clear += trend.clear
    assert clear <= 40
    fall = {FIRST + timedelta(days=day): Tally(positive=900 - 200 * day, negative=100 + 200 * day) for day in range(3)}
    assert trend_of(fall).clear  # type: ignore[union-attr] # few days, and yet no chance


class Page(HTMLParser):
    """Collects what a page would load or run, and its text."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.addresses: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, object]]) -> None:
        self.tags[tag] += 1
        self.addresses += [str(value) for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_stands_alone_and_runs_nothing_of_the_texts(tmp_path: Path) -> None:
    rows = scored_rows(300)
    for row in rows:
        row["text"] = f"<script>alert(1)</script> <img src=x> {row['text']}"
        row["shop"] = f"<b>{row['shop']}</b>"
    found = insights(write_csv(tmp_path / "hostile.csv", rows), by=["shop"], date_column="when")
    page = Page()
    page.feed(insights_page(found))
    assert not page.tags.keys() & {"script", "link", "img", "iframe"}
    assert all(address.startswith("#") for address in page.addresses)
    assert page.tags["svg"] == 1
    assert page.tags["mark"] > 4
    assert "<b>north</b>" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert f"{found.overall.positive:,} positive" in page.text


def test_words_that_may_be_chance_are_not_told_as_facts(tmp_path: Path, reviews: LabelledTexts) -> None:
    rng = np.random.default_rng(0)
    sides = ("negative", "positive")
    rows = [{"text": text, "sentiment": sides[rng.integers(2)], "p_positive": 0.5} for text in reviews.texts[:300]]
    path = write_csv(tmp_path / "chance.csv", rows)
    page = insights_page(insights(path))
    assert "What tells negative texts most" not in page
    assert "No word tells negative texts more surely than chance would." in page
    shown = CliRunner().invoke(cli, ["insights", str(path)])
    assert "may be chance" in shown.output


def test_a_page_without_dates_groups_or_words(tmp_path: Path) -> None:
    rows = [{"text": "\U0001f44d", "sentiment": "positive", "p_positive": 0.9}]
    found = insights(write_csv(tmp_path / "one.csv", rows))
    assert "no dates" in found.notes[0]
    assert found.period is None
    page = Page()
    page.feed(insights_page(found))
    assert page.tags["svg"] == 0
    assert "100.0%" in page.text


def test_the_command_reads_what_score_wrote(run: sentilora.Run, reviews_csv: Path, tmp_path: Path) -> None:
    """The reviews have a column Sentiment of their own, and another called sentiment that `score` steps around."""
    table = pd.read_csv(reviews_csv).rename(columns={"Sentiment": "sentiment"})
    table["created_at"] = [f"2025-0{1 + row % 3}-15T10:00:00Z" for row in range(len(table))]
    table.to_csv(tmp_path / "own.csv", index=False)
    sentilora.score(tmp_path / "own.csv", tmp_path / "scored.jsonl", model=run.folder)
    result = sentilora_command(
        *("insights", tmp_path / "scored.jsonl", "--by", "sentiment", "--json", "--report", tmp_path / "page.html")
    )
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    answers = Counter(answer.label for answer in run.classifier(table["Review"].tolist()))
    assert printed["overall"]["positive"] == answers["positive"]
    assert printed["overall"]["negative"] == answers["negative"]
    assert {part["name"] for part in printed["by"]["sentiment"]} == {"neg", "pos"}
    assert sum(part["share"]["texts"] for part in printed["over_time"]) == 120
    assert "created_at" in result.stderr
    assert (tmp_path / "page.html").read_text("utf-8").startswith("<!DOCTYPE html>")


def test_the_terminal_shows_tables_and_standard_input_will_do(scored: Path) -> None:
    with scored.open("rb") as file:
        result = CliRunner().invoke(
            cli, ["insights", "-", "--format", "csv", "--by", "shop", "--date-column", "when"], input=file.read()
        )
    assert result.exit_code == 0, result.output
    for shown in (
        "900 rows from standard input",
        "week of 2025-01-06",
        "north",
        "high",
        "zip broke",
        "telling positive",
    ):
        assert shown in result.output, shown


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("text,stars\nfine,4\n", "has no column 'sentiment'"),
        ("text,sentiment,p_positive\nfine,LABEL_1,\n", "holds no text that is negative or positive"),
        ("sentiment,p_positive\npositive,0.9\n", "--text-column"),
        ("text,sentiment,p_positive\n", "holds no text"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "other.csv").write_text(content, "utf-8")
    result = sentilora_command("insights", tmp_path / "other.csv")
    assert result.returncode == 2
    assert message in result.stderr
    assert "Traceback" not in result.stderr
    missing = sentilora_command("insights", tmp_path / "none.csv", "--by", "shop")
    assert missing.returncode == 2
