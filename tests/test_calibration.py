"""Confidences that mean what they say, and saying nothing where they are too low."""

from __future__ import annotations

import json
import math
import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import sentilora
from sentilora.analysis.calibration import (
    COOLEST,
    HOTTEST,
    abstention_points,
    answers_of,
    calibrate,
    ece_if_calibrated,
    fit_temperature,
    reliability,
)
from sentilora.analysis.metrics import Answers, Measurement
from sentilora.artifacts import AbstentionPoint, open_model
from sentilora.errors import ConfigError, ModelError
from sentilora.inference.abstention import point_for

TEXTS = ["A gorgeous film.", "The plot is a mess, and I want my money back.", "hm"]


def log_loss(logits: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    scaled = logits.astype(np.float64) / temperature
    return float((np.logaddexp.reduce(scaled, axis=1) - scaled[np.arange(len(labels)), labels]).mean())


@pytest.mark.parametrize("temperature", [0.6, 1.0, 2.5, 6.0])
@pytest.mark.parametrize("names", [2, 4])
def test_a_known_temperature_is_found(temperature: float, names: int) -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(0, 2, (20_000, names))
    probabilities = np.exp(honest) / np.exp(honest).sum(axis=1, keepdims=True)
    labels = (probabilities.cumsum(axis=1) < rng.random((20_000, 1))).sum(axis=1).clip(max=names - 1)
    assert fit_temperature((honest * temperature).astype(np.float32), labels) == pytest.approx(temperature, rel=0.05)


@given(
    arrays(np.float32, st.tuples(st.integers(1, 30), st.just(2)), elements=st.floats(-30, 30, width=32)),
    st.integers(0, 2**32 - 1),
)
def test_no_other_temperature_is_better_on_what_it_was_fitted_to(logits: np.ndarray, seed: int) -> None:
    labels = np.random.default_rng(seed).integers(0, 2, len(logits))
    fitted = fit_temperature(logits, labels)
    assert COOLEST <= fitted <= HOTTEST
    best = log_loss(logits, labels, fitted)
    for other in (1.0, COOLEST, HOTTEST, fitted * 1.01, fitted / 1.01):
        if COOLEST <= other <= HOTTEST:
            assert best <= log_loss(logits, labels, other) + 1e-9


def test_a_model_that_is_always_right_is_not_made_ever_surer() -> None:
    assert fit_temperature(np.array([[1.0, -1.0], [-3.0, 2.0]]), np.array([0, 1])) == COOLEST
    assert fit_temperature(np.array([[1.0, -1.0], [-3.0, 2.0]]), np.array([1, 0])) == HOTTEST


def test_calibrating_mends_confidences_that_are_too_high() -> None:
    rng = np.random.default_rng(2)
    margin = rng.normal(0, 2, 5000)
    labels = (rng.random(5000) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    calibration = calibrate(np.stack([-2 * margin, 2 * margin], axis=1), labels)
    assert calibration.before["ece"] > 0.1
    assert calibration.after["ece"] < 0.03
    assert calibration.after["log_loss"] < calibration.before["log_loss"]


def ece(p_positive: list[float], labels: list[int]) -> float:
    return Measurement(Answers(np.array(labels), np.array(p_positive))).scores()["ece"]


def test_the_calibration_error_of_known_cases() -> None:
    assert ece([1.0, 0.0, 1.0], [1, 0, 1]) == 0
    assert ece([1.0, 0.0], [0, 1]) == 1
    # 150 texts at 0.6 and 150 at 0.9, half of each right: two bins, as equals share one, with 0.1 and 0.4 too much.
    labels = [0, 1] * 150
    assert ece([0.6] * 150 + [0.9] * 150, labels) == pytest.approx(0.25)
    bins = reliability(Answers(np.array(labels), np.array([0.6] * 150 + [0.9] * 150)))
    assert [one.n for one in bins] == [150, 150]
    assert bins[0].confidence == pytest.approx(0.6)


@pytest.mark.parametrize("n", [1, 10, 100])
def test_chance_exceeds_the_calibration_error_that_it_makes_in_5_of_100_draws(n: int) -> None:
    rng = np.random.default_rng(n)
    exceeded = 0
    for _ in range(300):
        p_positive = 1 / (1 + np.exp(-rng.normal(0, 2, n)))
        answers = Answers((rng.random(n) < p_positive).astype(np.int64), p_positive)
        exceeded += Measurement(answers).scores()["ece"] > ece_if_calibrated(answers)
    assert exceeded <= 25
    if n > 1:
        assert exceeded >= 5
    assert ece_if_calibrated(Answers(np.array([0, 1]), np.array([0.0, 1.0]))) == 0


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 6).map(lambda n: n / 6)), min_size=1, max_size=80))
def test_the_order_of_the_rows_changes_no_calibration(pairs: list[tuple[int, float]]) -> None:
    def measured(pairs: list[tuple[int, float]]) -> tuple[object, ...]:
        answers = Answers(np.array([label for label, _ in pairs]), np.array([p for _, p in pairs]))
        bins = sorted((each.confidence, each.n) for each in reliability(answers))
        return round(Measurement(answers).scores()["ece"], 9), round(ece_if_calibrated(answers), 9), bins

    assert measured(pairs) == measured(sorted(pairs)) == measured(pairs[::-1])


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 20).map(lambda n: n / 20)), min_size=1, max_size=300))
def test_each_point_says_what_answering_from_it_on_gave(pairs: list[tuple[int, float]]) -> None:
    answers = Answers(np.array([label for label, _ in pairs]), np.array([p for _, p in pairs]))
    points = abstention_points(answers)
    assert 1 <= len(points) <= 100
    assert (points[0].confidence, points[0].coverage) == (0, 1)
    assert list(points) == sorted(points, key=lambda point: point.confidence)
    for point in points:
        given_answers = answers.confidence >= point.confidence
        assert point.coverage == pytest.approx(given_answers.mean())
        assert point.precision == pytest.approx(answers.right[given_answers].mean())
        assert point.texts == given_answers.sum()
        assert point.at_least is not None
        assert 0 <= point.at_least < point.precision or point.precision == point.at_least == 0


def test_the_lowest_confidence_that_reaches_the_precision_is_chosen() -> None:
    points = [AbstentionPoint(0, 0.8, 1), AbstentionPoint(0.7, 0.91, 0.6), AbstentionPoint(0.9, 0.97654, 0.2)]
    assert point_for(0.8, points) is points[0]
    assert point_for(0.9, points) is points[1]
    assert point_for(0.95, points) is points[2]
    with pytest.raises(ModelError, match=r"the best is 0\.9765, answering 20\.0%"):
        point_for(0.99, points)
    assert point_for(0.9765, points) is points[2]
    with pytest.raises(ModelError, match="train it again"):
        point_for(0.9, [])
    for none in (0, 1.5, -1, math.nan):
        with pytest.raises(ConfigError, match="above 0"):
            point_for(none, points)


def test_a_run_is_calibrated(run: sentilora.Run) -> None:
    manifest = open_model(run.folder).manifest
    labels = sentilora.read_labelled(str(run.folder / "validation.parquet")).labels
    fitted = fit_temperature(run.validation_logits, labels)
    assert manifest.temperature == run.classifier.temperature == pytest.approx(fitted)
    assert manifest.abstention == run.classifier.abstention
    assert manifest.abstention == abstention_points(answers_of(run.validation_logits, labels, fitted))
    record = json.loads((run.folder / "metrics.json").read_text("utf-8"))["calibration"]
    assert record["temperature"] == fitted
    assert record["after"]["log_loss"] <= record["before"]["log_loss"]
    loaded = sentilora.Classifier.load(run.folder)
    assert loaded(TEXTS[0]).p_positive == pytest.approx(run.classifier(TEXTS[0]).p_positive, abs=1e-5)


def test_below_the_threshold_the_label_is_uncertain(run: sentilora.Run, tmp_path) -> None:
    middle = sorted(prediction.confidence for prediction in run.classifier(TEXTS))[1]
    folder = shutil.copytree(run.adapter, tmp_path / "adapter")
    manifest = json.loads((folder / "sentilora.json").read_text("utf-8"))
    manifest["abstention"] = [
        {"confidence": 0.0, "precision": 0.7, "coverage": 1.0},
        {"confidence": middle - 1e-6, "precision": 0.9, "coverage": 0.6},
    ]
    (folder / "sentilora.json").write_text(json.dumps(manifest), "utf-8")
    plain, careful = (sentilora.Classifier.load(folder, precision=wanted)(TEXTS) for wanted in (None, 0.9))
    assert sum(prediction.label == "uncertain" for prediction in careful) == 1
    for before, after in zip(plain, careful):
        assert before.label in ("negative", "positive")
        assert after.label == (before.label if before.confidence >= middle - 1e-6 else "uncertain")
        assert (after.probabilities, after.confidence) == (before.probabilities, before.confidence)
    assert "uncertain" not in {
        prediction.label for prediction in sentilora.Classifier.load(folder, precision=0.6)(TEXTS)
    }
    with pytest.raises(ModelError, match=r"the best is 0\.9,"):
        sentilora.Classifier.load(folder, precision=0.99)


def test_the_merged_model_keeps_the_table(run: sentilora.Run, tmp_path) -> None:
    sentilora.merge(run.folder, tmp_path / "merged")
    merged = open_model(tmp_path / "merged").manifest
    assert (merged.temperature, merged.abstention) == (1.0, run.classifier.abstention)
    careful = sentilora.Classifier.load(tmp_path / "merged", precision=merged.abstention[0].precision)
    assert careful.answers_from == merged.abstention[0]
    assert careful(TEXTS[0]).p_positive == pytest.approx(run.classifier(TEXTS[0]).p_positive, abs=1e-5)


def test_a_stranger_has_no_table(run: sentilora.Run, tmp_path) -> None:
    folder = shutil.copytree(run.adapter, tmp_path / "adapter")
    (folder / "sentilora.json").unlink()
    with pytest.raises(ModelError, match="train it again"):
        sentilora.Classifier.load(folder, precision=0.9)
