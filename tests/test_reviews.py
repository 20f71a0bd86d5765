"""The bundled reviews are what their data card says."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from itertools import combinations
from pathlib import Path

import pytest

import sentilora

FOLDER = Path(sentilora.__file__).parent / "reviews"
SPLITS = {name: (FOLDER / f"{name}.jsonl").read_text("utf-8").splitlines() for name in ("train", "test")}
ROWS = {name: [json.loads(line) for line in lines] for name, lines in SPLITS.items()}
EVERY = [row for rows in ROWS.values() for row in rows]


def words(text: str) -> list[str]:
    return re.findall(r"[a-z0-9']+", text.lower())


def runs_of(text: str, length: int) -> set[tuple[str, ...]]:
    sequence = words(text)
    return {tuple(sequence[start : start + length]) for start in range(len(sequence) - length + 1)}


@pytest.mark.parametrize(("split", "least"), [("train", 1000), ("test", 300)])
def test_counts_and_balance(split: str, least: int) -> None:
    rows = ROWS[split]
    assert len(rows) >= least
    assert Counter(row["label"] for row in rows) == {0: len(rows) // 2, 1: len(rows) // 2}
    for domain in ("films", "products", "apps", "support", "surveys"):
        labels = [row["label"] for row in rows if row["domain"] == domain]
        assert len(labels) >= 25
        assert sum(labels) == pytest.approx(len(labels) / 2, abs=1)


def test_lengths_are_those_of_reviews_and_tell_nothing_of_the_label() -> None:
    lengths = defaultdict(list)
    for row in EVERY:
        count = len(row["text"].split())
        assert 5 <= count <= 150, row["text"]
        lengths[row["label"]].append(count)
    assert sum(lengths[0]) == pytest.approx(sum(lengths[1]), rel=0.05)
    for low, high in ((5, 15), (16, 40), (41, 80), (81, 150)):
        assert sum(low <= count <= high for count in lengths[0] + lengths[1]) >= 0.1 * len(EVERY)


def test_no_two_share_eight_words_in_a_row() -> None:
    owner: dict[tuple[str, ...], int] = {}
    for number, row in enumerate(EVERY):
        for run in runs_of(row["text"], 8):
            assert owner.setdefault(run, number) == number, " ".join(run)


def test_no_two_share_half_of_their_three_word_sequences() -> None:
    sequences = [runs_of(row["text"], 3) for row in EVERY]
    holders = defaultdict(list)
    for number, runs in enumerate(sequences):
        for run in runs:
            holders[run].append(number)
    shared: Counter[tuple[int, int]] = Counter()
    for numbers in holders.values():
        shared.update(combinations(numbers, 2))
    for (first, second), count in shared.items():
        assert count < 0.5 * min(len(sequences[first]), len(sequences[second])), (
            EVERY[first]["text"],
            EVERY[second]["text"],
        )


def test_openings_and_endings_vary() -> None:
    for end in (slice(None, 3), slice(-3, None)):
        commonest = Counter(" ".join(words(row["text"])[end]) for row in EVERY).most_common(1)[0]
        assert commonest[1] <= 0.01 * len(EVERY), commonest
