"""Files on the web page in a real headless Chromium: dropped, scored, and taken away."""

# ruff: noqa: F401, F811 - fixtures of other modules
from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import sentilora
from browser import as_csv, browsing, chromium, drop, page, rows_of, scored, served, share, taken
from sentilora.inference.bundle import Bundle
from sentilora.tables import LabelledTexts
from sentilora.tables.columns import TEXT_NAMES
from test_serving import SETTINGS, busy, serving

pytestmark = pytest.mark.browser

GOOD = "A gorgeous, moving film 👍🏽, if a little long."
BAD = "It froze on day two, and support never answered."

WATCH_PROGRESS = """() => {
    const line = document.getElementById("progress-text");
    window.told = [];
    new MutationObserver(() => window.told.push(line.textContent.split(", ")[0])).observe(line, { childList: true });
}"""


@pytest.fixture(scope="module")
def url(bundle: Path) -> Iterator[str]:
    with served(bundle) as url:
        yield url


@pytest.fixture(scope="module")
def tiny(bundle: Path) -> Iterator[sentilora.Classifier]:
    """The same model in memory."""
    opened = Bundle.open(bundle, threads=1)
    yield opened.classifier()
    opened.scheduler.close()


def test_a_dropped_csv_is_scored_and_taken_away(page: Any, tiny: sentilora.Classifier, reviews: LabelledTexts) -> None:
    texts = [*reviews.texts[:300], 'Quotes "inside", commas;\r\nand\nlines', "", "  ", reviews.texts[0]]
    rows = [[str(number), text, 'kept "as is"'] for number, text in enumerate(texts)]
    page.evaluate(WATCH_PROGRESS)
    drop(page, "my reviews.csv", b"\xef\xbb\xbf" + as_csv([["id", "Review-Text", "sentiment"], *rows]))
    result = scored(page)
    assert result[:3] == b"\xef\xbb\xbf"  # by which Excel knows UTF-8
    answered = rows_of(result)
    told = page.evaluate("window.told")
    assert (told[0], told[-1]) == ("0 of 301 texts", "301 of 301 texts")  # one is there twice
    assert len(told) > 5
    assert page.inner_text("#file-name") == "my reviews.csv, 304 rows"
    assert page.inner_text("#file-status") == "302 rows scored, 2 without a text."
    assert page.inner_text("#download") == "Download my reviews-scored.csv"

    columns = ["id", "Review-Text", "sentiment", "sentiment_predicted", "p_positive", "confidence", "truncated"]
    assert [list(row) for row in answered] == [columns] * 304
    assert [list(row.values())[:3] for row in answered] == rows
    for text, row in zip(texts, answered):
        answer = [row[name] for name in columns[3:]]
        if not text.strip():
            assert answer == ["", "", "", ""]
            continue
        expected = tiny(text)
        assert answer[0] == expected.label
        assert [float(answer[1]), float(answer[2])] == [expected.p_positive, expected.confidence]  # the same bits
        assert answer[3] == str(expected.truncated).lower()

    positive = sum(row["sentiment_predicted"] == "positive" for row in answered)
    assert share(positive / 302) in page.inner_text(".tiles .positive")
    bins = re.findall(r"\d+", page.get_attribute("#chart svg", "aria-label").split(": ")[1])
    assert sum(map(int, bins)) == 302
    least_sure = min((row for row in answered if row["confidence"]), key=lambda row: float(row["confidence"]))
    page.locator("#closest button").first.click()
    assert page.input_value("#text") == least_sure["Review-Text"].replace("\r\n", "\n")
    page.wait_for_selector(".verdict")


def test_files_of_other_kinds(page: Any, tiny: sentilora.Classifier, tmp_path: Path) -> None:
    file = tmp_path / "wünsche.csv"
    file.write_bytes(as_csv([["what", "they said"], ["1", GOOD], ["2", BAD]], ";").decode().encode("utf-16"))
    page.set_input_files("#file", file)
    page.wait_for_selector("text=Which column holds the texts?")
    assert page.locator("#column option").all_inner_texts() == ["what", "they said"]
    assert page.locator("#column option:checked").inner_text() == "they said"  # the longer one
    page.select_option("#column", label="what")
    page.select_option("#column", label="they said")
    page.click("text=Score")
    lines = scored(page).decode().lstrip("\ufeff").splitlines()
    assert lines[0] == "what;they said;sentiment;p_positive;confidence;truncated"
    assert lines[1].startswith(f"1;{GOOD};{tiny(GOOD).label};{tiny(GOOD).p_positive}")

    drop(page, "all.tsv", f"text\n{GOOD}\n\n{BAD}".encode())
    assert len(scored(page).decode().splitlines()) == 3
    assert page.inner_text("#file-name") == "all.tsv, 2 rows"

    big = '{"text": "%s", "id": 12345678901234567890, "more": {"a": [1]}}'.replace("%s", GOOD)
    drop(page, "all.jsonl", f'{big}\n\n{{"id": 1, "text": 7}}\n'.encode())
    first, second = scored(page).decode().splitlines()
    assert first.startswith(big[:-1])
    assert json.loads(first)["confidence"] == tiny(GOOD).confidence
    assert json.loads(second) == {
        **{"id": 1, "text": 7},
        **dict.fromkeys(["sentiment", "p_positive", "confidence", "truncated"]),
    }
    drop(page, "list.json", f'[{big},\n {{"text": "[{{\\"}}",\n "n": 1.10}}, {{"text": "{BAD}"}}]'.encode())
    first, second, third = scored(page).decode().splitlines()
    assert first.startswith(big[:-1])  # with a number that JavaScript would round
    assert second.startswith('{"text": "[{\\"}", "n": 1.10,')
    assert json.loads(third)["confidence"] == tiny(BAD).confidence

    drop(page, "blank.csv", f'\r\n\r\nn,text\r\n1,"{BAD}"\r\n'.encode())
    assert rows_of(scored(page))[0]["text"] == BAD


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.xlsx", b"PK", "a.xlsx cannot be read here: save it as CSV, or use sentilora score."),
        ("a.csv", b"text\ncaf\xe9\n", "a.csv is not UTF-8 text: save it as CSV UTF-8."),
        ("a.csv", b"", "a.csv holds no rows."),
        ("a.csv", b"text\n", "a.csv holds no rows."),
        ("a.csv", b'text\n"open', "A quote that opens in row 1 is never closed."),
        ("a.csv", b"text,b\n1,2\n1,2,3\n", "Row 2 has 3 cells, and the header 2: is a quote missing?"),
        ("a.jsonl", b'{"text": "a"}\n[1]\n', "Row 2 is no JSON object."),
        ("a.json", b"[1, ", "The file begins as a JSON list, but is none."),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line(page: Any, name: str, content: bytes, message: str) -> None:
    drop(page, name, content)
    page.wait_for_selector("#file-error:not(:empty)")
    assert page.inner_text("#file-error") == message
    assert page.locator("#file-form").is_hidden()


def test_a_busy_server_is_waited_for_and_a_text_it_refuses_is_told_apart(
    chromium: Any, bundle: Path, tiny: sentilora.Classifier
) -> None:
    full = Bundle.open(bundle, threads=1, capacity=100)  # tokens; room for one batch of four texts
    settings = replace(SETTINGS, max_texts=4, max_characters=1000)
    texts = [f"{GOOD} {number}" for number in range(30)] + ["too long " * 200]
    with serving(full, settings) as client, browsing(chromium, str(client.base_url), "status of 4") as page:
        with busy(full):
            drop(page, "a.csv", as_csv([["text"], *([text] for text in texts)]))
            page.wait_for_selector("text=The server is busy: waiting for it.")
        rows = rows_of(scored(page))
        assert "30 rows scored, 1 refused: Text 1 of 1 has 1,800 characters" in page.inner_text("#file-status")
    full.scheduler.close()
    assert [row["sentiment"] for row in rows] == [*(tiny(text).label for text in texts[:-1]), ""]


def test_a_job_can_be_stopped_and_go_on(page: Any, reviews: LabelledTexts) -> None:
    asked: list[Any] = []

    def answer_the_first_two(route: Any) -> None:
        asked.append(route)
        if len(asked) <= 2:
            route.continue_()

    page.route("**/v1/predict", answer_the_first_two)
    drop(page, "a.csv", as_csv([["text"], *([text] for text in reviews.texts[:200])]))
    page.wait_for_selector("#progress-text:has-text('32 of 200 texts')")
    page.click("#score:has-text('Stop')")
    page.wait_for_selector("text=Stopped.")
    sentiments = [row["sentiment"] for row in rows_of(taken(page))]
    assert (len(sentiments), sum(map(bool, sentiments))) == (200, 32)
    page.unroute("**/v1/predict")
    page.click("#score:has-text('Go on')")
    finished = [row["sentiment"] for row in rows_of(scored(page))]
    assert all(finished)
    assert finished[:32] == sentiments[:32]


def test_the_page_knows_the_same_column_names_as_the_command(page: Any) -> None:
    names = page.evaluate("import('./page/table.js').then((table) => table.TEXT_NAMES)")
    assert tuple(names) == TEXT_NAMES
