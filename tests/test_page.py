"""The web page in a real headless Chromium: texts, adapters, keys, and what it is to people."""

# ruff: noqa: F401, F811 - fixtures of other modules
from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Optional

import pytest

import sentilora
from browser import as_csv, browsing, chromium, drop, page, scored, served, share, sync_api, write
from sentilora.inference.bundle import Bundle
from sentilora.tables import LabelledTexts
from test_own_dialect import TEXT, careful, opened
from test_serving import SETTINGS, serving, shop

pytestmark = pytest.mark.browser

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
def url(shop: Path) -> Iterator[str]:
    with served(shop) as url:
        yield url


@pytest.fixture(scope="module")
def tiny(shop: Path) -> Iterator[sentilora.Classifier]:
    """The adapter that knows sentiment, in memory."""
    opened = Bundle.open(shop, threads=1)
    yield opened.classifiers["tiny"]
    opened.scheduler.close()


def choose(page: Any, adapter: str, other: str = "") -> None:
    page.select_option("#adapter", adapter)
    page.select_option("#other", other)


def test_the_answer_comes_as_typing_pauses_and_its_words_are_coloured(page: Any, tiny: sentilora.Classifier) -> None:
    choose(page, "tiny")
    page.click("#text")
    page.keyboard.type(GOOD)
    page.wait_for_selector("#mirror mark")
    expected = sentilora.explain(tiny, GOOD)
    assert page.inner_text(".verdict strong") == expected.label
    assert share(expected.confidence) in page.inner_text(".verdict")
    assert page.get_attribute(".track", "aria-label").startswith(f"{share(tiny(GOOD).p_positive)} positive")
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
    page.wait_for_selector("text=The answer appears here.")
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
    page.wait_for_selector(".answer.waiting")
    write(page, BAD)
    with contextlib.suppress(sync_api.Error):  # the page has given it up
        held[0].continue_()
    page.wait_for_load_state("networkidle")
    assert page.get_attribute(".track", "aria-label").startswith(f"{share(tiny(BAD).p_positive)} positive")


def test_two_adapters_side_by_side(page: Any, tiny: sentilora.Classifier) -> None:
    choose(page, "tiny", "stars")
    write(page, GOOD)
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
            page.wait_for_selector("text=The answer appears here.")
            assert page.locator("#choices").is_hidden()  # there is one adapter


def test_an_answer_left_open_is_shown_as_one(chromium: Any, careful: Path) -> None:
    opened = Bundle.open(careful, threads=1, precision=0.9)
    with serving(opened, SETTINGS) as client, browsing(chromium, str(client.base_url)) as page:
        write(page, TEXT)
        assert page.inner_text(".verdict strong") == "uncertain"
        assert "leans" in page.inner_text(".verdict")
        assert "Too close to call" in page.inner_text(".remark")
        assert page.locator(".track .band").count() == 1
        drop(page, "a.csv", as_csv([["text"], [TEXT]]))
        assert b",uncertain," in scored(page)
        assert page.inner_text(".tiles .uncertain strong") == "100.0\u00a0%"
    opened.scheduler.close()


def test_a_text_without_a_known_word_is_said_to_mean_nothing(chromium: Any, opened: Bundle) -> None:
    with serving(opened, SETTINGS) as client, browsing(chromium, str(client.base_url)) as page:
        write(page, "👍👍")
        assert "no word that the model knows" in page.inner_text(".remark")
        write(page, GOOD)
        assert page.inner_text(".remark") == ""


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
        long = "column-" * 20
        drop(page, f"{'name' * 20}.csv", as_csv([[long, "text"], *([long, text] for text in reviews.texts[:40])]))
        scored(page)
        assert page.evaluate("document.scrollingElement.scrollWidth") == PHONE["width"]
        one, other = (each.bounding_box() for each in page.locator(".answer").all())
        assert one["y"] + one["height"] <= other["y"]
        assert page.locator("#chart svg text").first.evaluate("it => it.getBoundingClientRect().height") > 11


def test_everything_can_be_done_with_the_keyboard(page: Any, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(as_csv([["one", "two"], [GOOD, BAD]]))
    page.on("filechooser", lambda _: None)  # from now on they are caught: asked for at the key, it can come too late

    def focused() -> Optional[str]:
        name: Optional[str] = page.evaluate("document.activeElement.id || document.activeElement.textContent")
        return name

    assert focused() == "text"  # at once
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert focused() == BAD  # an example
    page.keyboard.press("Enter")
    assert (focused(), page.input_value("#text")) == ("text", BAD)
    page.wait_for_selector(".words li")
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
    page.wait_for_selector("#download:focus")  # it takes the button's place
    page.fill("#text", "")
    outlines = page.evaluate(
        "[...document.querySelectorAll('button')].map((it) => (it.focus(), getComputedStyle(it).outlineStyle))"
    )
    assert "solid" in outlines


def test_a_text_is_never_read_as_html(page: Any) -> None:
    choose(page, "tiny", "stars")
    text = "<img src=x onerror=alert(1)> <b>bold</b> &amp; good"
    write(page, text)
    drop(page, "<b>.csv", as_csv([["text", "<i>"], [text, "<script>"]]))
    scored(page)
    assert page.locator("main img, main b, main i, main script").count() == 0
    assert page.locator(".copy").first.text_content() == text
