"""Our own dialect's extras: explanations within the server's limits, and answers that are left open."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

import sentilora
from sentilora.artifacts import MANIFEST
from sentilora.errors import ModelError
from sentilora.inference.bundle import Bundle
from test_serving import SETTINGS, busy, post, serving, until

TEXT = "The plot is thin, but I was never bored 👎🏽 by it."
LONG = "The first hour drags, and the plot is a mess; but what an ending! " * 12


@pytest.fixture(scope="module")
def opened(bundle: Path) -> Iterator[Bundle]:
    opened = Bundle.open(bundle, threads=2, capacity=SETTINGS.queue_tokens)
    yield opened
    opened.scheduler.close()


@pytest.fixture(scope="module")
def client(opened: Bundle) -> Iterator[httpx.Client]:
    with serving(opened, SETTINGS) as client:
        yield client


def with_threshold(bundle: Path, folder: Path, confidence: float) -> Path:
    """A copy of a bundle that says: below this confidence a precision of 0.9 is missed."""
    copy = Path(shutil.copytree(bundle, folder))
    manifest = json.loads((copy / MANIFEST).read_text("utf-8"))
    manifest["abstention"] = [
        {"confidence": 0.0, "precision": 0.7, "coverage": 1.0},
        {"confidence": confidence, "precision": 0.9, "coverage": 0.6},
    ]
    (copy / MANIFEST).write_text(json.dumps(manifest), "utf-8")
    return copy


@pytest.fixture(scope="module")
def careful(bundle: Path, opened: Bundle, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle that is just not sure enough of TEXT."""
    confidence = opened.classifier()(TEXT).confidence + 1e-6
    return with_threshold(bundle, tmp_path_factory.mktemp("careful") / "one", confidence)


def test_an_explanation_is_the_same_as_in_memory(client: httpx.Client, opened: Bundle) -> None:
    for texts in ([TEXT], [LONG], ["", "Good <br/> film", "👍"]):
        predictions = post(client, "/v1/predict", {"texts": texts, "explain": True})["predictions"]
        for text, prediction in zip(texts, predictions):
            expected = sentilora.explain(opened.classifier(), text).to_dict()
            explanation = prediction["explanation"]
            assert explanation["spans"] == expected["spans"]
            assert [[part["start"], part["end"]] for part in explanation["hidden"]] == expected["hidden"]
            assert (explanation["label"], explanation["passes"]) == (expected["label"], expected["passes"])
            assert all(text[span["start"] : span["end"]] == span["text"] for span in explanation["spans"])
    plain = post(client, "/v1/predict", {"texts": [TEXT]})["predictions"][0]
    assert "explanation" not in plain
    asked = post(client, "/v1/predict", {"texts": [TEXT], "explain": True})["predictions"][0]
    assert {name: value for name, value in asked.items() if name != "explanation"} == plain


def test_a_text_without_a_known_word_is_marked(client: httpx.Client) -> None:
    predictions = post(client, "/v1/predict", {"texts": [TEXT, "👍", ""]})["predictions"]
    assert [prediction["readable"] for prediction in predictions] == [True, False, False]


def test_what_would_cost_too_much_is_not_explained(client: httpx.Client) -> None:
    long = post(client, "/v1/predict", {"texts": ["a", "no " * 7000], "explain": True}, 413)["error"]
    assert long["message"] == "text 2 of 2 has 21,000 characters, and at most 20,000 are explained"
    many = post(client, "/v1/predict", {"texts": [LONG] * 2, "explain": True}, 413)["error"]
    assert many["code"] == "too_large"
    assert "at most 4,096 are read for one request" in many["message"]
    post(client, "/v1/predict", {"texts": [LONG], "explain": True})


def test_explanations_wait_in_the_queue_and_leave_it(client: httpx.Client, opened: Bundle) -> None:
    with ThreadPoolExecutor(2) as pool:
        with busy(opened):
            asking = pool.submit(client.post, "/v1/predict", json={"texts": [TEXT], "explain": True})
            until(lambda: opened.scheduler.queued > 0)
            assert client.get("/health").status_code == 200
            with pytest.raises(httpx.ReadTimeout):
                client.post("/v1/predict", json={"texts": [TEXT], "explain": True}, timeout=0.3)
        assert asking.result().status_code == 200
    assert opened.scheduler.queued == 0
    with serving(opened, replace(SETTINGS, queue_tokens=700)) as small:
        post(small, "/v1/predict", {"texts": [TEXT], "explain": True})


def test_below_the_wanted_precision_the_label_is_uncertain_in_our_dialect_only(careful: Path) -> None:
    opened = Bundle.open(careful, threads=2, precision=0.9)
    with serving(opened, SETTINGS) as client:
        ask = {"texts": [TEXT], "explain": True}
        prediction = post(client, "/v1/predict", ask)["predictions"][0]
        label = max(prediction["probabilities"], key=prediction["probabilities"].get)
        assert prediction["label"] == "uncertain"
        assert prediction["confidence"] == prediction["probabilities"][label]
        assert prediction["explanation"]["label"] == label
        assert prediction["explanation"]["spans"]
        assert post(client, "/predict", {"inputs": TEXT})[0]["label"] == label
        assert post(client, "/classify", {"input": TEXT})["data"][0]["label"] == label
        assert post(client, "/", {"inputs": TEXT})[0][0]["label"] == label
        [adapter] = client.get("/v1/adapters").json()["adapters"]
        assert adapter["answers_from"] == pytest.approx(prediction["confidence"], abs=2e-6)
        assert 'label="uncertain"' in client.get("/metrics").text
    opened.scheduler.close()
    plain = Bundle.open(careful, threads=2, precision=0.5)
    assert plain.classifier()(TEXT).label == label
    plain.scheduler.close()


def test_a_precision_out_of_reach_is_said_before_the_server_starts(careful: Path) -> None:
    command = [sys.executable, "-m", "sentilora", "serve", str(careful), "--port", "0", "--precision", "0.99"]
    process = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert process.returncode == 2
    last = process.stderr.splitlines()[-1]
    assert str(careful) in last
    assert "the best is 0.9, answering 60.0% of them" in last
    with pytest.raises(ModelError, match="no confidence gave a precision"):
        Bundle.open(careful, precision=0.99)


def test_an_answer_left_open_can_be_explained(careful: Path) -> None:
    classifier = sentilora.Classifier.load(careful, precision=0.9)
    assert classifier(TEXT).label == "uncertain"
    explanation = sentilora.explain(classifier, TEXT)
    assert explanation.label in ("negative", "positive")
    assert explanation.spans == sentilora.explain(sentilora.Classifier.load(careful), TEXT).spans


def test_openapi_says_how_to_ask_for_explanations_and_limits(client: httpx.Client) -> None:
    schemas = client.get("/openapi.json").json()["components"]["schemas"]
    assert schemas["PredictRequest"]["properties"]["explain"]["examples"] == [True]
    assert schemas["Span"]["properties"]["effect"]["examples"]
    limits = client.get("/v1/limits").json()
    assert limits == {"max_texts": 8, "max_characters": 100_000, "max_tokens": 4096, "max_body": 50_000}
