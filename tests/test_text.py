from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer
from transformers import AutoTokenizer

import sentilora
from sentilora.text import EncodingSummary, TextEncoder, with_cleaning
from sentilora.text.cleaning import clean
from sentilora.text.encoder import truncate


@pytest.fixture(scope="module")
def tokenizer(tiny_base: Path) -> Tokenizer:
    return with_cleaning(Tokenizer.from_file(str(tiny_base / "tokenizer.json")))


def test_line_breaks_and_mojibake_are_cleaned(tokenizer: Tokenizer) -> None:
    encoder = TextEncoder(tokenizer, 64, "head")

    def ids(text: str) -> list[int]:
        return encoder.encode([text])[0].ids

    assert ids("good<br />bad<BR>good") == ids("good bad good")
    assert ids("don\x92t \x93buy\x94 it \x96 no") == ids("don\u2019t \u201cbuy\u201d it \u2013 no")
    assert ids("good\x81bad") == ids("good bad")
    assert ids("good\x00bad") == ids("goodbad")


def test_cleaning_is_added_once(tokenizer: Tokenizer) -> None:
    assert with_cleaning(tokenizer).to_str() == tokenizer.to_str()


@given(st.text("<br/> \tBRx>", max_size=30))
def test_every_spelling_of_a_line_break_is_one(text: str) -> None:
    assert clean(text) == re.sub(r"(?i)<br\s*/?\s*>", " ", text)


def test_an_older_tokenizer_is_cleaned_as_fast(run: sentilora.Run, tmp_path: Path) -> None:
    saved = (run.adapter / "tokenizer.json").read_text("utf-8")
    older = saved.replace(json.dumps(r"(?i)<br(?:\s*/)?\s*>"), json.dumps(r"(?i)<br\s*/?\s*>"))
    assert older != saved
    (tmp_path / "tokenizer.json").write_text(older, "utf-8")
    assert TextEncoder.load(tmp_path, 64, "head").tokenizer.to_str() == run.classifier.encoder.tokenizer.to_str()


def test_half_a_line_break_costs_no_time(run: sentilora.Run) -> None:
    """A text that a stranger sends: it took a minute of a server's time, and an hour where files may hold it."""
    script = (
        "import sys; from pathlib import Path; from sentilora.text import TextEncoder\n"
        "encoder = TextEncoder.load(Path(sys.argv[1]), 64, 'head')\n"
        "print(len(encoder.encode(['<br' + ' ' * 900_000 + 'x'])[0].ids))"
    )
    command = [sys.executable, "-c", script, str(run.adapter)]
    found = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert int(found.stdout) >= 4


@given(st.lists(st.integers(), max_size=60), st.integers(1, 40), st.sampled_from(["head", "tail", "head+tail"]))
def test_truncation_keeps_what_its_name_says(ids: list[int], room: int, policy: str) -> None:
    kept = truncate(ids, room, policy)
    assert len(kept) == min(len(ids), room)
    if len(ids) <= room:
        assert kept == ids
    else:
        head = {"head": room, "tail": 0, "head+tail": room // 4}[policy]
        assert kept == ids[:head] + ids[len(ids) - (room - head) :]


def test_what_was_cut_and_unknown_is_counted(tokenizer: Tokenizer) -> None:
    encoder = TextEncoder(tokenizer, 8, "head+tail")
    short, long, strange = encoder.encode(["good film", "good film " * 20, "\u0f4f"])
    assert (short.truncated, long.truncated, strange.unknown) == (False, True, 1)
    assert len(long.ids) == 8
    assert long.length > 8
    assert long.ids[0] == short.ids[0]
    assert long.ids[-1] == short.ids[-1]
    summary = EncodingSummary.of([short, long, strange])
    assert summary.truncated == pytest.approx(1 / 3)
    assert summary.unknown == 1 / (short.length + long.length + strange.length)
    assert str(EncodingSummary.of([short])) == "0.0% of the texts truncated, 0.00% of the tokens unknown"


@settings(max_examples=200)
@given(text=st.text(max_size=80) | st.text("<br/> \x85\x92ab\u00e9\u4f60", max_size=40))
def test_a_plain_auto_tokenizer_gives_the_same_ids(run: sentilora.Run, text: str) -> None:
    plain = AutoTokenizer.from_pretrained(run.adapter)
    ours = TextEncoder.load(run.adapter, 512, "head").encode([text])[0]
    assert plain(text)["input_ids"] == ours.ids


def test_the_saved_tokenizer_says_how_texts_are_cut(run: sentilora.Run) -> None:
    plain = AutoTokenizer.from_pretrained(run.adapter)
    text = "good film " * 100
    ours = run.classifier.encoder.encode([text])[0]
    assert ours.truncated
    assert plain(text, truncation=True)["input_ids"] == ours.ids
    assert "token_type_ids" not in plain(text)
    assert json.loads((run.adapter / "sentilora.json").read_text("utf-8"))["truncation"] == "head"
