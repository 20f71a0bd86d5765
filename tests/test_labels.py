from __future__ import annotations

import pytest

from sentilora.errors import ConfigError
from sentilora.labels import SENTIMENT, LabelMap, Labels, parse_mapping, sentiment_id


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


@pytest.mark.parametrize("written", ["1-2", "1\u20132", "1 \u2014 2", ".5-2.", "0.5-2"])
def test_a_range_as_people_write_it(written: str) -> None:
    labels = LabelMap.parse({written: "negative", "4-5": "positive"})
    assert [labels.label_id(value) for value in (1, "1,5", "2.0", 3, "4,5", 5)] == [0, 0, 0, None, 1, 1]


def test_a_value_means_one_thing() -> None:
    with pytest.raises(ConfigError, match="'1=' is there twice"):
        parse_mapping("1=negative,1=positive,0=negative")
