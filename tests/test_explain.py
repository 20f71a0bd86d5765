"""Explanations: what they say is what leaving words out does, within the budget, and shown safely."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sentilora
from sentilora.analysis.faithfulness import faithfulness
from sentilora.cli.app import cli
from sentilora.errors import ConfigError
from sentilora.inference import Classifier
from sentilora.inference.explanation import html_page
from sentilora.inference.occlusion import words_of
from sentilora.inference.predictor import Logits
from sentilora.tables import LabelledTexts
from sentilora.text import TextEncoder
from test_cli import sentilora_command

LONG = "The first hour drags, and the plot is a mess; but what an ending! " * 12


def with_truncation(classifier: Classifier, policy: str, max_length: int = 64) -> Classifier:
    encoder = TextEncoder(classifier.encoder.tokenizer, max_length, policy)
    return Classifier(classifier.predictor, encoder, classifier.labels, temperature=1.7)


def log_odds(classifier: Classifier, text: str, label: str) -> float:
    p = classifier(text).probabilities[classifier.labels.names.index(label)]
    return math.log(p) - math.log(1 - p)


@pytest.mark.parametrize(
    "text", ["A gorgeous film, if a little long.", "Dull.\n\nNever again 👎🏽 naïve<br/>end", LONG]
)
@pytest.mark.parametrize("policy", ["head", "tail", "head+tail"])
def test_an_effect_is_what_leaving_the_span_out_does(run: sentilora.Run, text: str, policy: str) -> None:
    classifier = with_truncation(run.classifier, policy)
    explanation = sentilora.explain(classifier, text)
    whole = log_odds(classifier, text, explanation.label)
    assert explanation.label == classifier(text).label
    assert explanation.margin == pytest.approx(whole, abs=1e-4)
    assert any(abs(span.effect) > 1e-3 for span in explanation.spans)
    for span in explanation.spans:
        rest = text[: span.start] + text[span.end :]
        assert span.effect == pytest.approx(whole - log_odds(classifier, rest, explanation.label), abs=1e-4)


def test_effects_from_a_bundle_are_exact(bundle: Path) -> None:
    classifier = Classifier.load(bundle)
    text = "The plot is thin, but I was never bored."
    explanation = sentilora.explain(classifier, text)
    whole = log_odds(classifier, text, explanation.label)
    assert explanation.passes == 10
    for span in explanation.spans:
        rest = text[: span.start] + text[span.end :]
        assert span.effect == pytest.approx(whole - log_odds(classifier, rest, explanation.label), abs=1e-12)


@settings(max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(
    text=st.text(max_size=60)
    | st.lists(st.sampled_from(["good", "bad,", "film.", "👍🏽", "é", "\n", "<br />", "\u2003", "zażółć", "<BR>"])).map(
        " ".join
    )
    | st.text("<br/> a\n👍", max_size=400),
    budget=st.integers(4, 14),
    policy=st.sampled_from(["head", "tail", "head+tail"]),
)
def test_spans_are_words_of_the_text_and_the_budget_is_kept(
    run: sentilora.Run, text: str, budget: int, policy: str
) -> None:
    classifier = with_truncation(run.classifier, policy, max_length=12)
    passes: list[int] = []
    explanation = sentilora.explain(classifier, text, budget, passes.append)
    assert explanation.passes == sum(passes) <= budget
    assert explanation.passes == 1 + len(explanation.spans) or len(words_of(text)) > budget - 1
    words = words_of(text)
    covered = [(span.start, span.end) for span in explanation.spans] + list(explanation.hidden)
    for start, end in words:
        assert sum(first <= start and end <= last for first, last in covered) == 1
    for start, end in covered:
        assert start in {word[0] for word in words}
        assert end in {word[1] for word in words}
    assert all(span.text == text[span.start : span.end] for span in explanation.spans)
    assert "".join(piece for piece, _, _ in explanation.parts()) == text
    if explanation.hidden:
        assert classifier(text).truncated


@pytest.mark.parametrize("policy", ["head", "tail", "head+tail"])
def test_what_truncation_hid_has_no_effect_and_is_said(run: sentilora.Run, policy: str) -> None:
    classifier = with_truncation(run.classifier, policy)
    explanation = sentilora.explain(classifier, LONG)
    [(start, end)] = explanation.hidden
    hidden = [place for place in words_of(LONG) if start <= place[0] < end]
    assert len(hidden) > 50
    assert f"{len(hidden)} words were not read (truncated)" in explanation.legend
    rests = classifier.encoder.encode([LONG, *(LONG[:first] + LONG[last:] for first, last in hidden)])
    assert all(rest.ids == rests[0].ids for rest in rests)


def test_a_long_text_has_its_strongest_phrase_told_apart(run: sentilora.Run) -> None:
    classifier = with_truncation(run.classifier, "head", max_length=512)
    text = " ".join(f"word{number}" for number in range(200))
    explanation = sentilora.explain(classifier, text)
    lengths = {len(span.text.split()) for span in explanation.spans}
    assert 30 <= explanation.passes <= 40
    assert 1 in lengths
    assert max(lengths) > 5
    with pytest.raises(ConfigError, match="at least 4"):
        sentilora.explain(classifier, text, budget=3)


class Visible(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.text = ""

    def handle_starttag(self, tag: str, attributes: object) -> None:
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


def test_html_shows_the_text_and_runs_none_of_it(run: sentilora.Run) -> None:
    text = """<script>alert("x")</script> & 'good' <img src=x onerror=alert(1)>"""
    explanation = sentilora.explain(run.classifier, text)
    for html in (explanation._repr_html_(), html_page([explanation])):
        page = Visible()
        page.feed(html)
        assert text in page.text
        assert not page.tags & {"script", "img", "link"}
        assert "http" not in html


def test_colours_are_those_of_negative_and_positive(run: sentilora.Run) -> None:
    explanation = dataclasses.replace(sentilora.explain(run.classifier, "A good film"), label="positive")
    colours = [colour for _, span, colour in explanation.parts() if span is not None]
    assert max(map(abs, colours)) == 1
    opposite = dataclasses.replace(explanation, label="negative")
    assert [colour for _, span, colour in opposite.parts() if span is not None] == [-colour for colour in colours]
    assert "red speaks for it" in opposite.legend


def test_the_command_prints_and_writes(run: sentilora.Run, tmp_path: Path) -> None:
    texts = ['Zwei\nZeilen, "naïve" 👍', "[bold]bad[/bold]"]
    result = sentilora_command("explain", "--model", run.folder, "--json", *texts)
    assert result.returncode == 0, result.stderr
    answers = [json.loads(line) for line in result.stdout.splitlines()]
    assert [answer["text"] for answer in answers] == texts
    assert [span["text"] for span in answers[0]["spans"]] == texts[0].split()
    assert answers[0] == json.loads(json.dumps(answers[0]))

    shown = sentilora_command("explain", "--model", run.folder, "--html", tmp_path / "why.html", *texts)
    assert shown.returncode == 0, shown.stderr
    assert "👍" in (tmp_path / "why.html").read_text("utf-8")


def test_the_terminal_shows_the_text_as_it_is(run: sentilora.Run) -> None:
    result = CliRunner().invoke(cli, ["explain", "--model", str(run.folder), "[bold]bad[/bold] :smile:"])
    assert "[bold]bad[/bold] :smile:" in result.output
    assert "forward passes" in result.output
    assert "speaks for it" in result.output


class NaiveBayes:
    """A predictor that truly looks at each word by itself; a tiny network with random weights hardly does."""

    def __init__(self, encoder: TextEncoder, data: LabelledTexts) -> None:
        counts = np.ones((2, encoder.tokenizer.get_vocab_size()))
        for text, label in zip(encoder.encode(data.texts), data.labels):
            np.add.at(counts[label], text.ids, 1)
        self.weights = np.log(counts / counts.sum(axis=1, keepdims=True)).T

    def logits(self, token_ids: Sequence[Sequence[int]], on_batch: Optional[Callable[[int], Any]] = None) -> Logits:
        if on_batch is not None:
            on_batch(len(token_ids))
        return np.array([self.weights[list(ids)].sum(axis=0) for ids in token_ids], dtype=np.float32).reshape(-1, 2)


def test_random_words_matter_less_than_those_that_are_named(run: sentilora.Run, reviews: LabelledTexts) -> None:
    encoder = TextEncoder(run.classifier.encoder.tokenizer, 512, "head")
    classifier = Classifier(NaiveBayes(encoder, reviews), encoder, run.classifier.labels)
    measured = faithfulness(classifier, reviews.texts[:300], seed=0)
    assert measured == faithfulness(classifier, reviews.texts[:300], seed=0)
    assert measured.texts == 300
    assert 2 * measured.random < measured.top <= 1
    assert 2 < measured.passes <= 40
