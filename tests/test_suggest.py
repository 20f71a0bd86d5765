"""Suggestions are new, differ from one another, and are those that the model is least sure of."""

from __future__ import annotations

import csv
import gzip
import json
from pathlib import Path

import numpy as np
import pytest

import sentilora
from sentilora.analysis.duplicates import near_duplicates
from sentilora.analysis.suggestions import suggest
from sentilora.errors import ConfigError, DataError
from sentilora.tables import LabelledTexts, UnlabelledTexts, read_labelled, read_unlabelled
from test_cli import sentilora_command


def unlabelled(texts: list[str], source: str = "a test") -> UnlabelledTexts:
    return UnlabelledTexts(texts, source, np.arange(len(texts)))


@pytest.fixture(scope="module")
def pool(reviews: LabelledTexts) -> UnlabelledTexts:
    """300 reviews, of which every tenth comes twice."""
    texts = reviews.texts[:300]
    return unlabelled([*texts, *(text.upper().replace(".", "!") for text in texts[::10])])


def test_a_model_is_asked_what_it_is_least_sure_of(run: sentilora.Run, pool: UnlabelledTexts) -> None:
    found = suggest(pool, 8, classifier=run.classifier)
    assert len(found.chosen) == 8
    confidences = sorted(answer.confidence for answer in run.classifier(pool.texts[:300]))
    for each in found.chosen:
        assert each.text == pool.texts[each.row - 1]
        assert each.confidence == pytest.approx(run.classifier(each.text).confidence, abs=1e-5)
        assert each.confidence <= confidences[100]  # the 80 least sure, and those that repeat
    assert near_duplicates([each.text for each in found.chosen]) == []
    assert found == suggest(pool, 8, classifier=run.classifier)
    assert any("least sure" in note for note in found.notes)


def test_without_a_model_every_kind_has_its_turn() -> None:
    kinds = {
        kind: [f"{sentence} {detail}" for detail in ("here", "there", "today", "then", "again", "once", "too", "now")]
        for kind, sentence in {
            "parcel": "The parcel came late and the box was torn open by the courier",
            "soup": "Our soup was cold while the bread tasted of old cellars",
            "film": "This film bored everybody except the organist in the balcony",
        }.items()
    }
    texts = [text for kind in kinds.values() for text in kind]
    for seed in range(5):
        chosen = [each.text for each in suggest(unlabelled(texts), 3, seed=seed).chosen]
        assert {kind for kind in kinds if any(kind in text for text in chosen)} == set(kinds)


def test_what_is_labelled_or_repeated_is_not_suggested(pool: UnlabelledTexts) -> None:
    done = unlabelled([text.lower() for text in pool.texts[:200]], "done.csv")
    found = suggest(pool, 500, labelled=done)
    assert sorted(each.row for each in found.chosen) == list(range(201, 301))
    assert {each.confidence for each in found.chosen} == {None}
    with pytest.raises(DataError, match="already"):
        suggest(pool, 5, labelled=pool)


def test_a_large_file_is_looked_at_in_part_and_that_is_said(pool: UnlabelledTexts) -> None:
    found = suggest(pool, 5, pool=50)
    assert any("looked at 50 of 330 texts" in note for note in found.notes)
    assert len(found.chosen) == 5
    with pytest.raises(ConfigError, match="at least 1"):
        suggest(pool, 0)


@pytest.mark.parametrize("texts", [["one"], ["\U0001f44d", "\U0001f622", "!!"], ["same same"] * 5])
def test_few_and_odd_texts_are_suggested_too(texts: list[str]) -> None:
    found = suggest(unlabelled(texts), 2)
    assert len(found.chosen) == min(2, len(set(texts)))


def test_the_command_writes_a_file_to_label_and_train_on(run: sentilora.Run, reviews_csv: Path, tmp_path: Path) -> None:
    to_label = tmp_path / "to_label.csv"
    result = sentilora_command("suggest", reviews_csv, "-n", 20, "-o", to_label)
    assert result.returncode == 0, result.stderr
    with to_label.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 20
    texts = read_unlabelled(str(reviews_csv)).texts
    assert all(texts[int(row["row"]) - 1] == row["text"] and row["label"] == "" for row in rows)

    refused = sentilora_command("suggest", reviews_csv, "-n", 20, "-o", to_label)
    assert refused.returncode == 2
    assert "may hold labels" in refused.stderr

    known = read_labelled(reviews_csv)
    labels = dict(zip(known.texts, known.labels.tolist()))
    with to_label.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["row", "text", "label"])
        writer.writeheader()
        writer.writerows({**row, "label": labels[row["text"]]} for row in rows)
    assert len(read_labelled(to_label)) == 20

    again = sentilora_command(
        *("suggest", reviews_csv, "-n", 10, "--labelled", to_label, "--model", run.folder, "--json"),
        *("-o", tmp_path / "more.jsonl.gz"),
    )
    assert again.returncode == 0, again.stderr
    chosen = json.loads(again.stdout)["chosen"]
    assert not {each["text"] for each in chosen} & {row["text"] for row in rows}
    with gzip.open(tmp_path / "more.jsonl.gz", "rt", encoding="utf-8") as file:
        assert [json.loads(line)["row"] for line in file] == [each["row"] for each in chosen]
