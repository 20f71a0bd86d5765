"""The audit finds what was planted, points to the right rows, and says when two sets of texts differ."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

import sentilora
from sentilora.analysis.audit import audit
from sentilora.analysis.duplicates import near_duplicates
from sentilora.analysis.linear import FOLDS, folds_of
from sentilora.analysis.ranks import auc
from sentilora.analysis.shift import shift
from sentilora.analysis.shortcuts import balance_of, shortcuts_of
from sentilora.analysis.words import folded_words
from sentilora.cli.app import cli
from sentilora.errors import DataError
from sentilora.tables import LabelledTexts, read_labelled
from sentilora.tables.labelled import labelled
from test_cli import sentilora_command

OTHER_DOMAIN = [
    f"The {part} of this {car} wore out after {miles},000 miles and the garage charged for brakes, oil and a new tyre."
    for part in ("clutch", "gearbox", "exhaust", "bumper")
    for car in ("estate car", "van", "hatchback")
    for miles in range(10, 40)
]


def shingles(text: str) -> set[tuple[str, ...]]:
    words = folded_words(text)
    return {tuple(words[at : at + 3]) for at in range(max(len(words) - 2, 1))}


def test_planted_label_errors_are_found(reviews: LabelledTexts) -> None:
    """Flipped labels are far more frequent among the flagged than among all, and so is what is likeliest."""
    rows = np.random.default_rng(0).permutation(len(reviews))[:80]
    labels = reviews.labels.copy()
    labels[rows] = 1 - labels[rows]
    found = audit(dataclasses.replace(reviews, labels=labels))
    planted = set((rows + 1).tolist())
    assert found.label_errors is not None
    flagged = [error.row for error in found.label_errors]
    assert len(planted & set(flagged)) > 0.6 * len(planted)
    assert len(planted & set(flagged[:40])) >= 20
    assert [error.belief for error in found.label_errors] == sorted(error.belief for error in found.label_errors)
    for error in found.label_errors:
        assert error.text == reviews.texts[error.row - 1]
        assert error.label == ("negative", "positive")[labels[error.row - 1]] != error.suggested
        assert error.belief < 0.5
    assert found == audit(dataclasses.replace(reviews, labels=labels))


def test_planted_duplicates_are_found(reviews: LabelledTexts) -> None:
    long = [row for row, text in enumerate(reviews.texts) if len(text.split()) > 60][:30]
    repeated = [reviews.texts[row].upper().replace(",", "") + " I said so." for row in long]
    found = near_duplicates([*reviews.texts, *repeated])
    assert [(each.row - len(reviews), each.other) for each in found] == list(enumerate(long))
    across = near_duplicates(repeated, reviews.texts)
    assert [(each.row, each.other) for each in across] == list(enumerate(long))
    one, other = shingles(repeated[0]), shingles(reviews.texts[long[0]])
    assert across[0].similarity == pytest.approx(len(one & other) / len(one | other))
    assert near_duplicates(reviews.texts[:500], reviews.texts[500:]) == []


def test_many_equal_texts_each_point_to_an_earlier_one() -> None:
    texts = ["", "Great!", "great", "\U0001f44d", "\U0001f44d", *["Works as described, arrived on time."] * 400]
    found = near_duplicates(texts)
    assert [(each.row, each.other) for each in found[:2]] == [(2, 1), (4, 3)]
    assert [each.row for each in found[2:]] == list(range(6, 405))
    assert all(each.other < each.row and each.similarity == 1 for each in found)
    assert near_duplicates([]) == near_duplicates(["one"]) == near_duplicates([], ["one"]) == []


@settings(max_examples=50)
@given(
    st.lists(st.lists(st.sampled_from("abc"), max_size=8).map(" ".join), max_size=12), st.sampled_from([0.5, 0.8, 1])
)
def test_what_is_called_a_duplicate_is_one(texts: list[str], threshold: float) -> None:
    for each in near_duplicates(texts, threshold=threshold):
        one, other = shingles(texts[each.row]), shingles(texts[each.other])
        assert each.other < each.row
        assert each.similarity == pytest.approx(len(one & other) / len(one | other))
        assert each.similarity >= threshold


def test_a_planted_shortcut_is_found(reviews: LabelledTexts) -> None:
    before = {shortcut.word for shortcut in shortcuts_of(reviews)}
    rng = np.random.default_rng(0)
    texts = [
        f"{text} (via Shopomat)" if rng.random() < (0.001, 0.1)[label] else text
        for text, label in zip(reviews.texts, reviews.labels)
    ]
    found = {shortcut.word: shortcut for shortcut in shortcuts_of(dataclasses.replace(reviews, texts=texts))}
    assert set(found) - before >= {"shopomat"}
    assert found["shopomat"].label == "positive"
    assert found["shopomat"].share > 0.9
    assert found["shopomat"].texts == sum("Shopomat" in text for text in texts)
    assert "the" not in found


def test_a_word_that_one_label_never_has_is_a_shortcut(reviews: LabelledTexts) -> None:
    negative = np.flatnonzero(reviews.labels == 0)[:60].tolist()
    texts = [f"{text} Zzshop" if row in negative else text for row, text in enumerate(reviews.texts)]
    found = {each.word: each for each in shortcuts_of(dataclasses.replace(reviews, texts=texts), share=0.01)}
    assert (found["zzshop"].label, found["zzshop"].share, found["zzshop"].texts) == ("negative", 1.0, 60)
    assert found["zzshop"].z < -5


def test_balance_counts_labels_and_lengths() -> None:
    balance = balance_of(labelled(["a b c", "a b c d", "a", "a"], [0, 0, 1, 0], "a test"))
    assert (balance.negative, balance.positive) == (3, 1)
    assert (balance.negative_words, balance.positive_words) == (3, 1)
    assert balance.length_auc == pytest.approx(0.5 / 3)


@given(st.lists(st.integers(0, 5), min_size=1), st.lists(st.integers(0, 5), min_size=1))
def test_auc_counts_pairs(lower: list[int], higher: list[int]) -> None:
    pairs = [(low < high) + (low == high) / 2 for low in lower for high in higher]
    assert auc(np.array(lower), np.array(higher)) == pytest.approx(sum(pairs) / len(pairs))


def test_halves_of_one_set_are_alike_and_other_domains_are_not(reviews: LabelledTexts) -> None:
    rows = np.random.default_rng(0).permutation(len(reviews))
    halves = [[reviews.texts[row] for row in rows[start::2]] for start in (0, 1)]
    assert abs(shift(*halves).auc - 0.5) < 0.06
    assert shift(OTHER_DOMAIN, halves[0]).auc > 0.95
    with pytest.raises(DataError, match="takes 10 of each"):
        shift(halves[0], OTHER_DOMAIN[:9])


def test_folds_keep_equal_texts_and_groups_together(reviews: LabelledTexts) -> None:
    groups = [str(row // 7) for row in range(len(reviews))]
    folds = folds_of(dataclasses.replace(reviews, groups=groups), seed=1)
    assert len(set(zip(groups, folds.tolist()))) == len(set(groups))
    assert np.bincount(folds).min() > 0.9 * len(reviews) / FOLDS
    assert abs(reviews.labels[folds == 0].mean() - reviews.labels.mean()) < 0.05
    with pytest.raises(DataError, match="too few of a label to cross-validate"):
        folds_of(labelled(["good", "bad", "poor"], [1, 0, 0], "a test"), seed=0)


def test_near_duplicates_do_not_vouch_for_each_others_wrong_labels(reviews: LabelledTexts) -> None:
    flipped = [row for row in range(600) if row % 20 == 0 and len(reviews.texts[row].split()) > 30]
    texts, labels = list(reviews.texts[:600]), reviews.labels[:600].tolist()
    for row in flipped:
        labels[row] = 1 - labels[row]
        texts.append(f"{texts[row]} Thanks for reading.")
        labels.append(labels[row])
    planted = {row + 1 for row in flipped} | set(range(601, len(texts) + 1))
    found = audit(labelled(texts, labels, "a test"))
    assert found.label_errors is not None
    assert len(planted & {error.row for error in found.label_errors}) > 0.4 * len(planted)


def test_texts_too_few_to_judge_one_another_are_audited_for_the_rest() -> None:
    found = audit(labelled(["the very same words here"] * 40, [0, 1] * 20, "a test"))
    assert found.label_errors is None
    assert found.summary()["label_errors"] is None
    assert found.summary()["duplicates_that_contradict"] > 0
    assert any("not looked for: a test: 40 texts, of which 1 stand" in note for note in found.notes)


@pytest.fixture
def flawed_csv(tmp_path: Path, reviews: LabelledTexts) -> Path:
    """300 reviews with a wrong label, a repetition, and rows without text that push the others down."""
    rows = [[text, label] for text, label in zip(reviews.texts[:300], reviews.labels[:300])]
    rows[3:3] = [["", 0], [" ", 1]]
    longest = max((row for row in rows), key=lambda row: len(row[0]))
    rows.append([longest[0].replace(".", " !"), 1 - longest[1]])
    with (tmp_path / "flawed.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["text", "label"], *rows])
    return tmp_path / "flawed.csv"


def test_the_command_writes_what_it_found(flawed_csv: Path, tmp_path: Path) -> None:
    result = sentilora_command(
        "audit", flawed_csv, "--against", flawed_csv, "--reference", "bundled:test", "-o", tmp_path / "found", "--json"
    )
    assert result.returncode == 0, result.stderr
    printed = json.loads(result.stdout)
    summary = json.loads((tmp_path / "found" / "summary.json").read_text("utf-8"))
    assert printed["summary"] == summary
    assert summary["duplicates"] == summary["duplicates_that_contradict"] == 1
    assert summary["duplicates_of_other_data"] == summary["texts"] == 301
    assert 0 <= summary["shift"]["auc"] <= 1
    with flawed_csv.open(newline="", encoding="utf-8") as file:
        texts = [row["text"] for row in csv.DictReader(file)]
    for name in ("label_errors", "duplicates"):
        with (tmp_path / "found" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            found = list(csv.DictReader(file))
        assert len(found) == len(printed[name]) > 0
        for finding in found:
            assert texts[int(finding["row"]) - 1] == finding["text"]
    assert printed["duplicates"][0]["row"] == 303
    repeated = texts[printed["duplicates"][0]["other"] - 1]
    assert repeated.replace(".", " !") == texts[302]
    for name in ("balance", "shift"):
        with (tmp_path / "found" / f"{name}.csv").open(newline="", encoding="utf-8") as file:
            (found,) = csv.DictReader(file)
        assert {key: float(value) for key, value in found.items()} == summary[name]
    again = sentilora_command("audit", flawed_csv, "-o", tmp_path / "found")
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "found" / "shift.csv").read_text("utf-8").split() == ["auc,texts,reference"]
    assert len((tmp_path / "found" / "shortcuts.csv").read_text("utf-8").splitlines()) == 1 + summary["shortcuts"]


def test_the_terminal_shows_tables_and_a_model_may_judge(run: sentilora.Run, flawed_csv: Path) -> None:
    result = CliRunner().invoke(cli, ["audit", str(flawed_csv), "--model", str(run.folder)])
    assert result.exit_code == 0, result.output
    assert "301 texts" in result.output
    assert "2 rows dropped" in result.output
    assert "Near-duplicates" in result.output
    assert "1 (1 with another label)" in result.output
    found = audit(read_labelled(flawed_csv), classifier=run.classifier)
    assert "may repeat errors" in found.notes[0]
    for error in found.label_errors or []:
        assert run.classifier(error.text).label == error.suggested
