"""The web page in a real headless Chromium, against a real server process."""

# ruff: noqa: F401, F811 - fixtures of other modules
from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest

import sentilora
from sentilora.inference.bundle import Bundle
from sentilora.tables import LabelledTexts
from sentilora.tables.columns import TEXT_NAMES
from test_own_dialect import careful, opened
from test_serving import SETTINGS, serving, shop

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium: apt-get install chromium"),
]

GOOD = "A gorgeous, moving film 👍🏽, if a little long."
BAD = "It froze on day two, and support never answered."
PHONE = {"width": 360, "height": 740}
# Relative luminance and contrast as WCAG 2.1 defines them, of every pair of colours that text has on this page.
CONTRASTS = """
() => {
  const probe = document.body.appendChild(document.createElement("i"));
  const luminance = (name) => {
    probe.style.color = `var(--${name})`;
    const channels = getComputedStyle(probe).color.match(/[\\d.]+/g).slice(0, 3).map((value) => value / 255);
    const [r, g, b] = channels.map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (one, other) => {
    const [low, high] = [luminance(one), luminance(other)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const inks = ["ink", "soft", "blue", "positive", "negative", "uncertain"];
  const pairs = inks.flatMap((ink) => [[ink, "card"], [ink, "paper"]]);
  return Object.fromEntries([...pairs, ["on-main", "blue"]].map((pair) => [pair.join(" on "), contrast(...pair)]));
}
"""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def url(shop: Path) -> Iterator[str]:
    command = [sys.executable, "-m", "sentilora", "serve", str(shop), "--port", "0", "--threads", "1"]
    keyless = {name: value for name, value in os.environ.items() if not name.startswith("SENTILORA_")}
    server = subprocess.Popen(
        [*command, "--queue-tokens", "2048"], env=keyless, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert server.stdout is not None
    yield server.stdout.readline().split()[-1]
    server.terminate()
    assert server.wait(30) == 0


@contextlib.contextmanager
def browsing(chromium: Any, url: str, expected: str = "", **options: Any) -> Iterator[Any]:
    """A page in a fresh profile, which must say nothing but `expected` on its console and ask no other host."""
    context = chromium.new_context(**options)
    page = context.new_page()
    page.set_default_timeout(20_000)
    said: list[str] = []
    asked: list[str] = []
    page.on("console", lambda message: said.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("request", lambda request: asked.append(request.url))
    page.goto(url)
    yield page
    assert [each for each in said if not (expected and expected in each)] == []
    assert [each for each in asked if not each.startswith((url, "data:", "blob:"))] == []
    context.close()


@pytest.fixture
def page(chromium: Any, url: str) -> Iterator[Any]:
    with browsing(chromium, url) as page:
        yield page


@pytest.fixture(scope="module")
def tiny(shop: Path) -> Iterator[sentilora.Classifier]:
    """The adapter that knows sentiment, in memory."""
    opened = Bundle.open(shop, threads=1)
    yield opened.classifiers["tiny"]
    opened.scheduler.close()


def choose(page: Any, adapter: str, other: str = "") -> None:
    page.select_option("#adapter", adapter)
    page.select_option("#other", other)


def write(page: Any, text: str) -> None:
    """Type or paste a text and wait until its words are coloured."""
    page.fill("#text", text)
    page.wait_for_selector(".answer:not(.waiting) .verdict")
    page.wait_for_selector(".answer:not(.waiting) .words li")


def drop(page: Any, name: str, content: bytes) -> None:
    page.evaluate(
        """([name, bytes]) => {
            const transfer = new DataTransfer();
            transfer.items.add(new File([new Uint8Array(bytes)], name));
            const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
            for (const type of ["dragenter", "dragover", "drop"]) {
                document.body.dispatchEvent(new DragEvent(type, options));
            }
        }""",
        [name, list(content)],
    )


def scored(page: Any) -> bytes:
    """The result, when all of it is there."""
    page.wait_for_function("document.getElementById('file-status').textContent.includes('scored')")
    return taken(page)


def taken(page: Any) -> bytes:
    with page.expect_download() as download:
        page.click("#download")
    return Path(download.value.path()).read_bytes()


def as_csv(rows: list[list[str]], delimiter: str = ",") -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, delimiter=delimiter).writerows(rows)
    return file.getvalue().encode()


def test_the_answer_comes_as_typing_pauses_and_its_words_are_coloured(page: Any, tiny: sentilora.Classifier) -> None:
    choose(page, "tiny")
    page.click("#text")
    page.keyboard.type(GOOD)
    page.wait_for_selector("#mirror mark")
    expected = sentilora.explain(tiny, GOOD)
    assert page.inner_text(".verdict strong") == expected.label
    assert f"{expected.confidence:.1%}".replace("%", " %") in page.inner_text(".verdict")
    assert page.get_attribute(".track", "aria-label").startswith(f"{tiny(GOOD).p_positive * 100:.1f} % positive")
    assert page.text_content("#mirror").rstrip("\u200b") == GOOD

    strongest = max(abs(span.effect) for span in expected.spans)
    told = [span for span in expected.spans if abs(span.effect) >= 0.15 * strongest]
    assert page.locator("#mirror mark").all_text_contents() == [span.text for span in told]
    for span, mark in zip(told, page.locator("#mirror mark").all()):
        tone = expected.label if span.effect > 0 else {"negative": "positive"}.get(expected.label, "negative")
        assert tone in mark.get_attribute("class")
        assert mark.get_attribute("title") == f"{span.text}: {abs(span.effect):.2f} towards {tone}"
    first = page.locator("#mirror mark").first
    box = first.bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    assert page.get_attribute("#text", "title") == first.get_attribute("title")
    shown = page.locator(".words li").all_inner_texts()
    assert len(shown) == min(6, len(told))
    assert all("towards" in each for each in shown)
    assert expected.label in page.text_content("#status")

    page.fill("#text", " ")
    page.wait_for_selector("text=Type or paste, and pause.")
    assert page.locator("mark").count() == 0


def test_the_mirror_lies_under_the_text_letter_on_letter(page: Any, tiny: sentilora.Classifier) -> None:
    choose(page, "tiny")
    for text in (f"{GOOD}\n\n" * 9, "x" * 300, "tabs\tand  spaces \n", "\n\n"):
        page.fill("#text", text)
        area, mirror = (
            page.locator(each).evaluate("it => [it.scrollHeight, it.clientWidth]") for each in ("#text", "#mirror")
        )
        assert area == mirror
    write(page, GOOD)
    before = page.locator("#mirror mark").all_text_contents()
    page.locator("#text").press("Control+Home")
    page.keyboard.type("Oh. ")
    assert page.locator("#mirror mark").all_text_contents() == before  # they stay until the next answer
    assert page.text_content("#mirror").startswith("Oh. A gorgeous")


def test_only_the_newest_answer_counts(page: Any, tiny: sentilora.Classifier) -> None:
    choose(page, "tiny")
    held: list[Any] = []

    def hold_the_first(route: Any) -> None:
        if held:
            route.continue_()
        else:
            held.append(route)

    page.route("**/v1/predict", hold_the_first)
    page.fill("#text", GOOD)
    page.wait_for_function("document.querySelector('.answer.waiting')")
    write(page, BAD)
    with contextlib.suppress(sync_api.Error):  # the page has given it up
        held[0].continue_()
    page.wait_for_load_state("networkidle")
    assert page.get_attribute(".track", "aria-label").startswith(f"{tiny(BAD).p_positive * 100:.1f} % positive")


def test_two_adapters_side_by_side(page: Any, tiny: sentilora.Classifier) -> None:
    choose(page, "tiny", "stars")
    write(page, GOOD)
    page.wait_for_function("document.querySelectorAll('.copy').length === 2")
    left, right = page.locator(".answer").all()
    assert [each.locator(".name").inner_text() for each in (left, right)] == ["tiny", "stars"]
    assert left.locator(".verdict strong").inner_text() == tiny(GOOD).label
    assert right.locator(".bars li span:first-child").all_inner_texts() == ["bad", "fair", "good"]
    for each in (left, right):
        assert each.locator(".copy").text_content() == GOOD
        assert each.locator(".copy mark").count() > 0
    assert right.locator(".words li").first.inner_text().endswith("this answer")
    one, other = left.bounding_box(), right.bounding_box()
    assert one["y"] == other["y"]
    assert one["x"] + one["width"] <= other["x"]
    assert page.locator("#mirror mark").count() == 0
    choose(page, "tiny")
    page.wait_for_selector("#mirror mark")
    assert page.locator(".answer").count() == 1


def test_a_dropped_csv_is_scored_and_taken_away(page: Any, tiny: sentilora.Classifier, reviews: LabelledTexts) -> None:
    choose(page, "tiny")
    texts = [*reviews.texts[:300], 'Quotes "inside", commas;\r\nand\nlines', "", "  ", reviews.texts[0]]
    rows = [[str(number), text, 'kept "as is"'] for number, text in enumerate(texts)]
    drop(page, "my reviews.csv", b"\xef\xbb\xbf" + as_csv([["id", "Review-Text", "sentiment"], *rows]))
    page.wait_for_selector("#progress:visible")
    result = scored(page).decode("utf-8-sig")
    assert page.inner_text("#file-name") == "my reviews.csv, 304 rows"
    assert page.inner_text("#file-status") == "302 rows scored, 2 without a text."
    assert page.inner_text("#download") == "Download my reviews-scored.csv"

    header, *answered = csv.reader(io.StringIO(result, newline=""))
    assert header == ["id", "Review-Text", "sentiment", "sentiment_predicted", "p_positive", "confidence", "truncated"]
    assert [row[:3] for row in answered] == rows
    for text, row in zip(texts, answered):
        if not text.strip():
            assert row[3:] == ["", "", "", ""]
            continue
        expected = tiny(text)
        assert (row[3], float(row[4]), float(row[5])) == (expected.label, expected.p_positive, expected.confidence)
        assert row[6] == str(expected.truncated).lower()

    positive = sum(row[3] == "positive" for row in answered)
    assert f"{positive / 302:.1%}".replace("%", " %") in page.inner_text(".tiles .positive")
    bins = re.findall(r"\d+", page.get_attribute("#chart svg", "aria-label").split(": ")[1])
    assert sum(map(int, bins)) == 302
    least_sure = min((row for row in answered if row[3]), key=lambda row: float(row[5]))
    page.locator("#closest button").first.click()
    assert page.input_value("#text") == least_sure[1].replace("\r\n", "\n")
    page.wait_for_selector(".verdict")


def test_files_of_other_kinds(page: Any, tiny: sentilora.Classifier, tmp_path: Path) -> None:
    choose(page, "tiny")
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
    assert page.inner_text("#file-name") == "all.tsv, 2 rows"
    assert len(scored(page).decode().splitlines()) == 3

    big = '{"text": "%s", "id": 12345678901234567890, "more": {"a": [1]}}'.replace("%s", GOOD)
    drop(page, "all.jsonl", f'{big}\n\n{{"id": 1, "text": 7}}\n'.encode())
    first, second = scored(page).decode().splitlines()
    assert first.startswith(big[:-1])
    assert json.loads(first)["confidence"] == tiny(GOOD).confidence
    assert json.loads(second) == {
        **{"id": 1, "text": 7},
        **dict.fromkeys(["sentiment", "p_positive", "confidence", "truncated"]),
    }


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
    chromium: Any,
    shop: Path,
    tiny: sentilora.Classifier,
) -> None:
    full = Bundle.open(shop, threads=1, capacity=512)
    settings = replace(SETTINGS, max_texts=4, max_characters=1000, queue_tokens=512)
    texts = [f"{GOOD} {number}" for number in range(60)] + ["too long " * 200]
    with serving(full, settings) as client, browsing(chromium, str(client.base_url), "status of 4") as page:
        choose(page, "tiny")
        drop(page, "a.csv", as_csv([["text"], *([text] for text in texts)]))
        rows = list(csv.DictReader(io.StringIO(scored(page).decode())))
        assert "60 rows scored, 1 refused: Text 1 of 1 has 1,800 characters" in page.inner_text("#file-status")
    full.scheduler.close()
    assert [row["sentiment"] for row in rows] == [*(tiny(text).label for text in texts[:-1]), ""]


def test_a_job_can_be_stopped_and_go_on(page: Any, reviews: LabelledTexts) -> None:
    choose(page, "tiny")
    asked: list[Any] = []

    def answer_the_first_two(route: Any) -> None:
        asked.append(route)
        if len(asked) <= 2:
            route.continue_()

    page.route("**/v1/predict", answer_the_first_two)
    drop(page, "a.csv", as_csv([["text"], *([text] for text in reviews.texts[:200])]))
    page.wait_for_function("document.getElementById('bar').value === 64")
    page.click("#score:has-text('Stop')")
    page.wait_for_selector("text=Stopped.")
    sentiments = [row["sentiment"] for row in csv.DictReader(io.StringIO(taken(page).decode()))]
    assert (len(sentiments), sum(map(bool, sentiments))) == (200, 64)
    page.unroute("**/v1/predict")
    page.click("#score:has-text('Go on')")
    finished = [row["sentiment"] for row in csv.DictReader(io.StringIO(scored(page).decode()))]
    assert all(finished)
    assert finished[:64] == sentiments[:64]


def test_a_key_is_asked_for_where_the_server_wants_one(chromium: Any, opened: Bundle) -> None:
    with serving(opened, replace(SETTINGS, api_keys=("guest",))) as client:
        url = str(client.base_url)
        with browsing(chromium, url, "status of 401") as page:
            page.wait_for_selector("#key:focus")
            assert page.inner_text("#answers") == "This server asks for a key."
            page.keyboard.type("guess")
            page.keyboard.press("Enter")
            page.wait_for_selector("text=This key opens nothing here.")
            page.fill("#key", "guest")
            page.keyboard.press("Enter")
            page.wait_for_selector("#key-form", state="hidden")
            write(page, GOOD)
            assert page.evaluate("Object.values(sessionStorage)") == ["guest"]
            assert page.evaluate("localStorage.length + document.cookie.length") == 0
            page.reload()
            page.wait_for_selector("text=Type or paste, and pause.")
            assert page.locator("#choices").is_hidden()  # there is one adapter


def test_an_answer_left_open_is_shown_as_one(chromium: Any, careful: Path) -> None:
    opened = Bundle.open(careful, threads=1, precision=0.9)
    text = "The plot is thin, but I was never bored 👎🏽 by it."
    with serving(opened, SETTINGS) as client, browsing(chromium, str(client.base_url)) as page:
        write(page, text)
        assert page.inner_text(".verdict strong") == "uncertain"
        assert "leans" in page.inner_text(".verdict")
        assert "Too close to call" in page.inner_text(".remark")
        assert page.locator(".track .band").count() == 1
        drop(page, "a.csv", as_csv([["text"], [text]]))
        assert b",uncertain," in scored(page)
        assert page.inner_text(".tiles .uncertain strong") == "100.0 %"
    opened.scheduler.close()


def test_a_server_that_is_gone_is_said(chromium: Any, opened: Bundle) -> None:
    with serving(opened, SETTINGS) as client, browsing(chromium, str(client.base_url), "ERR_") as page:
        page.context.set_offline(True)
        page.fill("#text", GOOD)
        page.wait_for_selector("text=The server cannot be reached.")
        page.context.set_offline(False)
        write(page, BAD)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_enough_to_read(chromium: Any, url: str, scheme: str) -> None:
    with browsing(chromium, url, color_scheme=scheme) as page:
        contrasts = page.evaluate(CONTRASTS)
        assert {pair: value for pair, value in contrasts.items() if value < 4.5} == {}


def test_it_fits_a_phone(chromium: Any, url: str, reviews: LabelledTexts) -> None:
    with browsing(chromium, url, viewport=PHONE, has_touch=True, is_mobile=True) as page:
        choose(page, "tiny", "stars")
        write(page, f"{GOOD} {'w' * 90}")
        page.wait_for_function("document.querySelectorAll('.copy').length === 2")
        long = "column-" * 20
        drop(page, f"{'name' * 20}.csv", as_csv([[long, "text"], *([long, text] for text in reviews.texts[:40])]))
        scored(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") == PHONE["width"]
        one, other = (each.bounding_box() for each in page.locator(".answer").all())
        assert one["y"] + one["height"] <= other["y"]
        assert page.locator("#chart svg text").first.evaluate("it => it.getBoundingClientRect().height") > 11


def test_everything_can_be_done_with_the_keyboard(page: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(as_csv([["one", "two"], [GOOD, BAD]]))

    def focused() -> Optional[str]:
        name: Optional[str] = page.evaluate("document.activeElement.id || document.activeElement.textContent")
        return name

    assert focused() == "text"  # at once
    page.keyboard.type(GOOD)
    page.wait_for_selector(".words li")
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert focused() == BAD
    page.keyboard.press("Enter")
    assert (focused(), page.input_value("#text")) == ("text", BAD)
    for _ in range(4):
        page.keyboard.press("Tab")
    assert focused() == "file"
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(tmp_path / "a.csv")
    page.wait_for_selector("text=Which column holds the texts?")
    page.keyboard.press("Tab")
    assert focused() == "column"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Tab")
    assert focused() == "score"
    page.keyboard.press("Enter")
    page.wait_for_selector("#download:visible")
    for _ in range(3):  # the button is gone, and the link follows
        page.keyboard.press("Tab")
        if focused() == "download":
            break
    assert focused() == "download"
    page.keyboard.press("Shift+Tab")
    outlines = page.evaluate(
        "[...document.querySelectorAll('button')].map((it) => (it.focus(), getComputedStyle(it).outlineStyle))"
    )
    assert "solid" in outlines


def test_a_text_is_never_read_as_html(page: Any) -> None:
    choose(page, "tiny", "stars")
    text = "<img src=x onerror=alert(1)> <b>bold</b> &amp; good"
    write(page, text)
    page.wait_for_function("document.querySelectorAll('.copy').length === 2")
    drop(page, "<b>.csv", as_csv([["text", "<i>"], [text, "<script>"]]))
    scored(page)
    assert page.locator("main img, main b, main i, main script").count() == 0
    assert page.locator(".copy").first.text_content() == text


def test_the_page_knows_the_same_column_names_as_the_command(page: Any) -> None:
    names = page.evaluate("import('./page/table.js').then((table) => table.TEXT_NAMES)")
    assert tuple(names) == TEXT_NAMES
