from __future__ import annotations

import pytest

from sentilora.labels import SENTIMENT, Labels, sentiment_id


@pytest.mark.parametrize("value", [0, 0.0, False, "0", "neg", "Negative", " FALSE "])
def test_negative_as_people_write_it(value: object) -> None:
    assert sentiment_id(value) == 0


@pytest.mark.parametrize("value", [1, 1.0, True, "1", "POS", "positive", "true"])
def test_positive_as_people_write_it(value: object) -> None:
    assert sentiment_id(value) == 1


@pytest.mark.parametrize("value", [2, -1, 0.5, float("nan"), float("inf"), None, "", "good", "5 stars"])
def test_anything_else_is_no_label(value: object) -> None:
    assert sentiment_id(value) is None


def test_sentiment_is_known_only_by_name() -> None:
    assert SENTIMENT.positive == 1
    assert Labels(("Positive", "Negative")).positive == 0
    assert Labels(("negative", "neutral", "positive")).positive == 2
    assert Labels.unnamed(2).positive is None
    assert Labels(("bad", "positive")).positive is None
