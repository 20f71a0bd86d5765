"""Serving: every dialect over a real socket, limits, keys, adapters at run time, and a calm end."""

from __future__ import annotations

import contextlib
import inspect
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch
import uvicorn
from click.testing import CliRunner
from fastapi import FastAPI
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from pydantic import BaseModel, ValidationError
from transformers import AutoModelForSequenceClassification

import sentilora
from sentilora.cli.app import cli
from sentilora.errors import ModelError, UserError
from sentilora.export import export
from sentilora.inference.bundle import Bundle
from sentilora.serving import ServingSettings, create_app, serve
from sentilora.serving.dialects.hub import ClassificationRequest
from sentilora.serving.dialects.own import PredictRequest
from sentilora.serving.dialects.tei import TeiPredictRequest, TokenizeRequest
from sentilora.serving.dialects.vllm import ClassifyRequest
from sentilora.serving.observation import JsonFormatter
from sentilora.serving.server import configured

GOOD, BAD = "A gorgeous, moving film.", "My two hours back, please."
LONG = "never again " * 80
SETTINGS = ServingSettings(admin_keys=("boss",), max_body=50_000, max_texts=8, queue_tokens=4096, deadline=20.0)
JSON = {"Content-Type": "application/json"}
BOSS = {"Authorization": "Bearer boss"}


@pytest.fixture(scope="module")
def shop(run: sentilora.Run, sure_texts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle with two adapters: `tiny`, which knows sentiment, and `stars`, which has other labels."""
    torch.manual_seed(3)
    names = {0: "bad", 1: "fair", 2: "good"}
    model = AutoModelForSequenceClassification.from_pretrained(run.config.base, num_labels=3, id2label=names)
    lora = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_lin"], init_lora_weights=False)
    stars = tmp_path_factory.mktemp("adapters") / "stars"
    get_peft_model(model, lora).save_pretrained(stars)
    model.config.save_pretrained(stars)
    with pytest.MonkeyPatch.context() as patch:  # random labels are called by a hair
        patch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.2)
        patch.setattr("sentilora.export.gate.LABELS_CHANGED", 0.2)
        return export([run.folder, stars], tmp_path_factory.mktemp("bundles") / "shop", unlabelled=sure_texts).folder


@pytest.fixture(scope="module")
def open_shop(shop: Path) -> Iterator[Bundle]:
    opened = Bundle.open(shop, threads=2, capacity=SETTINGS.queue_tokens)
    yield opened
    opened.scheduler.close()


@contextlib.contextmanager
def serving(bundle: Bundle, settings: ServingSettings) -> Iterator[httpx.Client]:
    listener = socket.create_server(("127.0.0.1", 0))
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # as the command has it
    server = uvicorn.Server(configured(create_app([bundle], settings), settings))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{listener.getsockname()[1]}", timeout=30) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def client(open_shop: Bundle) -> Iterator[httpx.Client]:
    with serving(open_shop, SETTINGS) as client:
        yield client


def post(client: httpx.Client, path: str, body: Any, status: int = 200, **headers: str) -> Any:
    response = client.post(path, json=body, headers=headers)
    assert response.status_code == status, response.text
    return response.json()


@contextlib.contextmanager
def busy(bundle: Bundle) -> Iterator[None]:
    """Every worker is occupied while this lasts."""
    free = threading.Event()
    jobs = [bundle.scheduler.submit(free.wait, 1) for _ in range(bundle.scheduler.workers)]
    until(lambda: all(job.running() for job in jobs))
    try:
        yield
    finally:
        free.set()


def until(what: Any) -> None:
    end = time.monotonic() + 20
    while not what():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_own_dialect(client: httpx.Client, open_shop: Bundle) -> None:
    answer = post(client, "/v1/predict", {"texts": [GOOD, LONG]})
    expected = open_shop.classifiers["tiny"]([GOOD, LONG])
    assert answer["adapter"] == "stars"  # by their names, the first one
    answer = post(client, "/v1/predict", {"texts": [GOOD, LONG], "adapter": "tiny"})
    for ours, theirs in zip(answer["predictions"], expected):
        assert ours["label"] == theirs.label
        assert ours["p_positive"] == theirs.p_positive  # the same bits as in memory
        assert ours["confidence"] == max(ours["probabilities"].values())
    assert [each["truncated"] for each in answer["predictions"]] == [False, True]
    stars = post(client, "/v1/predict", {"texts": [GOOD], "adapter": "stars"})["predictions"][0]
    assert stars["p_positive"] is None
    assert list(stars["probabilities"]) == ["bad", "fair", "good"]
    error = post(client, "/v1/predict", {"texts": [GOOD], "adapter": "tinny"}, 404)["error"]
    assert error["code"] == "unknown"
    assert "tinny" in error["message"]
    assert post(client, "/v1/predict", {"texts": []}, 422)["error"]["code"] == "invalid"
    assert "expl" in post(client, "/v1/predict", {"texts": [GOOD], "expl": 1}, 422)["error"]["message"]


def test_text_embeddings_inference(client: httpx.Client) -> None:
    flat = post(client, "/predict", {"inputs": GOOD})
    assert {each["label"] for each in flat} == {"bad", "fair", "good"}
    assert [each["score"] for each in flat] == sorted((each["score"] for each in flat), reverse=True)
    assert sum(each["score"] for each in flat) == pytest.approx(1)
    assert post(client, "/predict", {"inputs": [[GOOD], [BAD]]}) == [flat, post(client, "/predict", {"inputs": BAD})]
    raw = post(client, "/predict", {"inputs": GOOD, "raw_scores": True})
    assert [each["label"] for each in raw] == [each["label"] for each in flat]
    assert sum(each["score"] for each in raw) != pytest.approx(1)
    for pair in ([GOOD, BAD], [[GOOD, BAD]], [GOOD, [BAD]]):
        assert post(client, "/predict", {"inputs": pair}, 422)["error_type"] == "Tokenizer"
    long = post(client, "/predict", {"inputs": LONG * 8}, 413)
    assert long.keys() == {"error", "error_type"}
    assert long["error_type"] == "Validation"
    assert len(post(client, "/predict", {"inputs": LONG * 8, "truncate": True})) == 3
    assert post(client, "/predict", {"inputs": []}, 400)["error_type"] == "Empty"
    assert post(client, "/predict", {"inputs": [[GOOD]] * 9}, 413)["error_type"] == "Validation"
    info = client.get("/info").json()
    assert info["model_type"]["classifier"]["id2label"]["2"] == "good"
    assert info["max_client_batch_size"] == 8
    assert info["model_dtype"] in ("int8", "fp32")
    tokens = post(client, "/tokenize", {"inputs": "Good film"})[0]
    assert (tokens[0]["special"], tokens[0]["start"]) == (True, None)
    assert "4,096 may wait" in post(client, "/tokenize", {"inputs": ["a b " * 2000] * 2}, 413)["error"]
    for wrong in ({"truncate": 1}, {"raw_scores": "yes"}):
        assert post(client, "/predict", {"inputs": GOOD, **wrong}, 422)["error_type"] == "Tokenizer"
    assert "".join(each["text"] for each in tokens if not each["special"]) == "Goodfilm"
    assert client.get("/health").status_code == client.get("/ready").status_code == 200


@pytest.mark.parametrize("path", ["/classify", "/v1/classify"])
def test_vllm_and_sglang(client: httpx.Client, path: str) -> None:
    answer = post(client, path, {"model": "tiny", "input": [GOOD, BAD]})
    assert answer["object"] == "list"
    assert answer["model"] == "tiny"
    assert [each["index"] for each in answer["data"]] == [0, 1]
    first = answer["data"][0]
    assert first["num_classes"] == len(first["probs"]) == 2
    assert first["label"] == ("negative", "positive")[first["probs"][1] > 0.5]
    assert answer["usage"]["prompt_tokens"] == answer["usage"]["total_tokens"] > 4
    assert len(post(client, path, {"input": GOOD})["data"]) == 1
    assert post(client, path, {"model": "no", "input": GOOD}, 404)["error"]["type"] == "NotFoundError"
    error = post(client, path, {"model": "tiny", "input": LONG}, 400)["error"]
    assert error["code"] == 400
    assert error["type"] == "BadRequestError"
    post(client, path, {"model": "tiny", "input": LONG, "truncate_prompt_tokens": -1})
    assert post(client, path, {"model": "tiny"}, 400)["error"]["message"].startswith("input")
    models = client.get("/v1/models").json()
    assert {each["id"]: each["max_model_len"] for each in models["data"]}["tiny"] == 64


def test_the_hubs_own_client(client: httpx.Client) -> None:
    code = """
import json, sys
from huggingface_hub import InferenceClient
url, text = sys.argv[1:]
asked = (url, None), (url + "/models/tiny", None), (url + "/models/tiny", 1)
answers = [InferenceClient(each).text_classification(text, top_k=most) for each, most in asked]
print(json.dumps([[(element.label, element.score) for element in answer] for answer in answers]))
"""
    url = str(client.base_url).rstrip("/")
    command = [sys.executable, "-c", code, url, GOOD]
    process = subprocess.run(
        command, env={**os.environ, "HF_HUB_OFFLINE": "0"}, capture_output=True, text=True, check=False, timeout=60
    )
    assert process.returncode == 0, process.stderr
    default, tiny, top = json.loads(process.stdout)
    assert {label for label, _ in default} == {"bad", "fair", "good"}
    theirs = [[each["label"], each["score"]] for each in post(client, "/models/tiny", {"inputs": GOOD})[0]]
    assert tiny == theirs
    assert top == tiny[:1]
    assert len(post(client, "/", {"inputs": [GOOD, BAD]})) == 2
    raw = post(client, "/models/tiny", {"inputs": GOOD, "parameters": {"function_to_apply": "none"}})
    assert raw[0][0]["label"] == tiny[0][0]
    assert "error" in post(client, "/models/none", {"inputs": GOOD}, 404)


def test_limits_are_kept_in_each_dialect(client: httpx.Client) -> None:
    huge = "x" * 60_000
    bodies = {"/v1/predict": "texts", "/predict": "inputs", "/classify": "input", "/": "inputs"}
    for path, field in bodies.items():
        assert "error" in post(client, path, {field: huge}, 413)
        response = client.post(path, content=b'{"texts": [', headers=JSON)
        assert response.status_code in (400, 422)
        half = client.post(path, content=f'{{"{field}": ["\\ud800"]}}'.encode(), headers=JSON)
        assert half.status_code in (400, 422), half.text
    assert post(client, "/v1/predict", {"texts": [GOOD] * 9}, 413)["error"]["code"] == "too_large"
    assert client.get("/v1/predict").status_code == 405
    form = client.post("/v1/predict", content=json.dumps({"texts": [GOOD]}))  # as curl has it by itself
    if "strict_content_type" in inspect.signature(FastAPI).parameters:  # that of Python 3.9 takes it for JSON
        assert "Content-Type: application/json" in form.json()["error"]["message"]
    else:
        assert form.json()["predictions"]
    odd = client.post("/v1/predict", content=b'{"texts": ["a"], "\\ud800": 1}', headers=JSON)
    assert odd.status_code == 422, odd.text
    assert client.get("/nothing/here").json()["error"]["code"] == "unknown"


@pytest.mark.parametrize(
    ("form", "field"),
    [
        *((PredictRequest, "texts"), (TeiPredictRequest, "inputs"), (TokenizeRequest, "inputs")),
        *((ClassifyRequest, "input"), (ClassificationRequest, "inputs")),
    ],
)
@pytest.mark.parametrize("value", [[1] * 1000, [[1] * 1000], [[1]] * 1000])
def test_a_body_with_a_million_mistakes_is_as_cheap_as_one(form: type[BaseModel], field: str, value: Any) -> None:
    """Each mistake that is written down costs a kilobyte, and time in which nobody else is answered."""
    body = {field: value, **({str(number): 1 for number in range(1000)} if form is PredictRequest else {})}
    with pytest.raises(ValidationError) as refused:
        form.model_validate(body)
    assert refused.value.error_count() <= 3


def test_security_headers_and_request_ids(client: httpx.Client) -> None:
    response = client.get("/health", headers={"X-Request-ID": "abc-1", "Origin": "https://example.org"})
    assert response.headers["x-request-id"] == "abc-1"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert "access-control-allow-origin" not in response.headers
    forged = client.get("/health", headers={"X-Request-ID": "a b"})
    assert forged.headers["x-request-id"] != "a b"


def test_a_full_queue_is_said_at_once(client: httpx.Client, open_shop: Bundle) -> None:
    with ThreadPoolExecutor(24) as pool, busy(open_shop):
        batch = {"texts": [LONG] * 8, "adapter": "tiny"}
        waiting = [pool.submit(client.post, "/v1/predict", json=batch) for _ in range(16)]
        until(lambda: sum(each.done() for each in waiting) >= 8)  # 4096 tokens hold at most 8 of 512
        refused = [each.result() for each in waiting if each.done()]
        assert {each.status_code for each in refused} == {429}
        assert {each.headers["retry-after"] for each in refused} == {"1"}
        until(lambda: open_shop.scheduler.queued == SETTINGS.queue_tokens)
        assert post(client, "/predict", {"inputs": GOOD}, 429)["error_type"] == "Overloaded"
        assert post(client, "/classify", {"input": GOOD}, 429)["error"]["code"] == 429
        assert post(client, "/", {"inputs": GOOD}, 429)["error"]
        assert client.get("/health").status_code == 200
    statuses = [each.result().status_code for each in waiting]
    assert statuses.count(200) == 8


def test_a_client_that_goes_away_frees_its_place(client: httpx.Client, open_shop: Bundle) -> None:
    with busy(open_shop):
        with pytest.raises(httpx.ReadTimeout):
            client.post("/v1/predict", json={"texts": [LONG] * 8}, timeout=0.5)
        until(lambda: open_shop.scheduler.queued == 0)


def test_a_deadline_ends_a_request_and_frees_its_place(open_shop: Bundle) -> None:
    with serving(open_shop, replace(SETTINGS, deadline=0.3)) as client, busy(open_shop):
        assert post(client, "/v1/predict", {"texts": [GOOD]}, 504)["error"]["code"] == "late"
        assert post(client, "/predict", {"inputs": GOOD}, 424)["error_type"] == "Backend"
        assert open_shop.scheduler.queued == 0
        with socket.create_connection((client.base_url.host, client.base_url.port)) as slow:
            slow.sendall(b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{")
            assert b" 408 " in slow.recv(4096)
            until(lambda: slow.recv(4096) == b"")  # and no more is read


def test_a_connection_without_a_request_ends(open_shop: Bundle) -> None:
    with serving(open_shop, replace(SETTINGS, deadline=0.5, api_keys=("guest",))) as client:
        address = (client.base_url.host, client.base_url.port)
        head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\n"
        for begun in (b"", head[:9], head, head + b"Content-Length: 9\r\n\r\n{"):
            with socket.create_connection(address, timeout=20) as idle:
                idle.sendall(begun)
                answer = b"".join(iter(lambda connection=idle: connection.recv(4096), b""))
                assert (b" 401 " in answer) == begun.endswith(b"{")
        assert client.get("/health").status_code == 200


def test_a_client_that_does_not_read_its_answer_is_cut_off(open_shop: Bundle) -> None:
    with serving(open_shop, replace(SETTINGS, deadline=3.0, queue_tokens=65_536, max_body=200_000)) as client:
        whole = json.dumps({"inputs": ["a " * 7500] * 8}).encode()  # megabytes of answer, more than the kernels hold
        head = b"POST /tokenize HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        with socket.socket() as deaf:
            deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            deaf.settimeout(20)
            deaf.connect((client.base_url.host, client.base_url.port))
            deaf.sendall(head % len(whole) + whole)
            until(lambda: _closed(deaf))


def test_keys_open_every_dialect(open_shop: Bundle) -> None:
    with serving(open_shop, replace(SETTINGS, api_keys=("guest", "friend"), cors_origins=("https://a.org",))) as client:
        bodies = {"/v1/predict": {"texts": [GOOD]}, "/predict": {"inputs": GOOD}, "/": {"inputs": GOOD}}
        for path, body in {**bodies, "/classify": {"input": GOOD}}.items():
            assert "error" in post(client, path, body, 401)
            assert "error" in post(client, path, body, 401, Authorization="Bearer gues")
            for key in ("guest", "friend", "boss"):
                post(client, path, body, Authorization=f"Bearer {key}")
        assert client.get("/metrics").status_code == client.get("/v1/adapters").status_code == 401
        for path in ("/", "/page/page.js", "/health", "/ready"):
            assert client.get(path).status_code == client.head(path).status_code == 200
            assert client.head(path).content == b""
        guest = {"Authorization": "Bearer guest"}
        assert client.post("/v1/adapters", json={"name": "x"}, headers=guest).status_code == 403
        cross = client.get("/health", headers={"Origin": "https://a.org"})
        assert cross.headers["access-control-allow-origin"] == "https://a.org"


@pytest.mark.parametrize("seconds", [float("inf"), float("nan")])
def test_seconds_without_an_end_are_refused(seconds: float) -> None:
    with pytest.raises(UserError, match=r"--deadline .*: it is a number of seconds"):
        ServingSettings(deadline=seconds)


@pytest.mark.parametrize("key", ["", "two words", "schlüssel", "half \udce4"])
def test_a_key_that_no_client_could_show_is_refused(key: str) -> None:
    with pytest.raises(UserError, match="a key has ASCII letters"):
        ServingSettings(api_keys=("good", key))
    with pytest.raises(UserError, match="a key has ASCII letters"):
        ServingSettings(admin_keys=(key,))


def test_texts_are_logged_where_asked(open_shop: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "sentilora.serving")
    for asked in (False, True):
        with serving(open_shop, replace(SETTINGS, log_texts=asked)) as client:
            label = post(client, "/v1/predict", {"texts": [GOOD], "adapter": "tiny"})["predictions"][0]["label"]
        lines = [json.loads(JsonFormatter().format(record)) for record in caplog.records]
        told = [line["answers"] for line in lines if line["message"] == "texts"]
        assert told == [[[GOOD, label]]] * asked


def test_adapters_come_and_go(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapters"
    shutil.copytree(shop / "adapters", folder)
    (folder / "later").mkdir()
    for file in (shop / "adapters" / "tiny").iterdir():
        shutil.copy(file, folder / "later")
    (tmp_path / "outside").symlink_to(shop / "adapters" / "tiny")
    (folder / "link").symlink_to(shop / "adapters" / "tiny")
    opened = Bundle.open(shop, threads=2)
    with serving(opened, replace(SETTINGS, adapter_folder=folder)) as client:
        url = "/v1/adapters"
        assert {each["name"] for each in client.get(url).json()["adapters"]} == {"tiny", "stars"}
        assert post(client, url, {"name": "later"}, 401)["error"]["code"] == "key"
        boss = {"Authorization": "Bearer boss"}
        for name in ("../outside", "..", ".", "", "a/b", "link", "nothing", "later\n", "C:x"):
            assert client.post(url, json={"name": name}, headers=boss).status_code in (404, 422)
        post(client, url, {"name": "later"}, 201, **boss)
        ask = {"texts": [GOOD], "adapter": "tiny"}
        expected = post(client, "/v1/predict", ask)["predictions"]
        assert post(client, "/v1/predict", {**ask, "adapter": "later"})["predictions"] == expected

        (folder / "later" / "adapter.safetensors").write_bytes(b"damaged")
        error = post(client, url, {"name": "later"}, 422, **boss)["error"]["message"]
        assert str(tmp_path) not in error
        assert client.delete(f"{url}/later", headers=boss).status_code == 204
        post(client, "/v1/predict", {**ask, "adapter": "later"}, 404)
        assert client.delete(f"{url}/later", headers=boss).status_code == 404
        assert client.delete(f"{url}/stars", headers=boss).status_code == 422  # the one that answers by default
    opened.scheduler.close()


def test_a_swap_under_load_gives_one_answer_or_the_other(shop: Path, tmp_path: Path) -> None:
    folder = tmp_path / "adapters"
    for name in ("tiny", "stars"):
        shutil.copytree(shop / "adapters" / name, folder / name)
    opened = Bundle.open(shop, threads=2)
    with serving(opened, replace(SETTINGS, adapter_folder=folder)) as client, ThreadPoolExecutor(4) as pool:
        ask = {"texts": [GOOD, BAD], "adapter": "tiny"}
        answers = [post(client, "/v1/predict", {**ask, "adapter": name})["predictions"] for name in ("tiny", "stars")]
        stop = threading.Event()

        def keep_asking() -> list[Any]:
            seen = []
            while not stop.is_set():
                seen.append(post(client, "/v1/predict", ask)["predictions"])
            return seen

        asking = [pool.submit(keep_asking) for _ in range(3)]
        for number in range(10):
            shutil.rmtree(folder / "tiny")
            shutil.copytree(shop / "adapters" / ("stars", "tiny")[number % 2], folder / "tiny")
            post(client, "/v1/adapters", {"name": "tiny"}, 201, **BOSS)
            assert post(client, "/v1/predict", ask)["predictions"] == answers[1 - number % 2]
        stop.set()
        seen = [answer for each in asking for answer in each.result()]
    opened.scheduler.close()
    assert all(answer in answers for answer in seen)
    assert all(answer in seen for answer in answers)


def test_metrics_tell_load_and_drift(client: httpx.Client) -> None:
    def metrics() -> dict[str, float]:
        lines = client.get("/metrics").text.splitlines()
        return {name: float(value) for name, value in (line.rsplit(" ", 1) for line in lines if line[0] != "#")}

    before = metrics()
    post(client, "/v1/predict", {"texts": [GOOD, LONG], "adapter": "tiny"})
    after = metrics()

    def change(name: str) -> float:
        return after.get(name, 0.0) - before.get(name, 0.0)

    assert change('sentilora_requests_total{endpoint="/v1/predict",status="200"}') == 1
    assert change('sentilora_request_seconds_count{endpoint="/v1/predict"}') == 1
    assert change('sentilora_truncated_total{adapter="tiny"}') == 1
    assert (
        sum(change(f'sentilora_labels_total{{adapter="tiny",label="{each}"}}') for each in ("positive", "negative"))
        == 2
    )
    assert 1 <= change('sentilora_confidence_sum{adapter="tiny"}') <= 2
    assert after["sentilora_queue_tokens"] == 0


def test_the_page_needs_no_other_host(client: httpx.Client) -> None:
    page = client.get("/")
    assert "text/html" in page.headers["content-type"]
    files = [client.get("/page/page.css"), client.get("/page/page.js")]
    assert [each.status_code for each in files] == [200, 200]
    for each in (page, *files):
        assert "http://" not in each.text
        assert "https://" not in each.text
    assert "default-src 'none'" in page.headers["content-security-policy"]


def test_openapi_describes_every_endpoint_with_examples(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()
    paths = {"/v1/predict", "/predict", "/classify", "/v1/classify", "/", "/models/{adapter}", "/tokenize", "/info"}
    assert paths | {"/health", "/ready", "/metrics", "/v1/models", "/v1/adapters"} <= schema["paths"].keys()
    assert '"examples"' in json.dumps(schema["components"])
    assert "HTTPValidationError" not in schema["components"]["schemas"]


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
fields = st.sampled_from(["texts", "inputs", "input", "adapter", "model", "parameters", "truncate", "name"])


@given(
    path=st.sampled_from(["/v1/predict", "/predict", "/classify", "/", "/models/tiny", "/tokenize"]),
    body=st.dictionaries(fields, values, max_size=3) | values,
)
@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_body_breaks_the_server(client: httpx.Client, path: str, body: Any) -> None:
    response = client.post(path, content=json.dumps(body).encode("utf-8", "surrogatepass"), headers=JSON)
    assert response.status_code in (200, 400, 404, 413, 422), response.text


def test_two_adapters_of_one_name_are_refused(open_shop: Bundle) -> None:
    with pytest.raises(ModelError, match="two bundles hold an adapter 'stars'"):
        create_app([open_shop, open_shop], SETTINGS)


@pytest.mark.parametrize("blank", ["", "  "])
@pytest.mark.parametrize("variable", ["SENTILORA_API_KEYS", "SENTILORA_ADMIN_KEYS"])
def test_a_secret_that_did_not_arrive_does_not_open_the_api(
    shop: Path, monkeypatch: pytest.MonkeyPatch, variable: str, blank: str
) -> None:
    monkeypatch.setenv(variable, blank)
    refused = CliRunner().invoke(cli, ["serve", str(shop), "--port", "0"])
    assert isinstance(refused.exception, UserError)
    assert str(refused.exception) == f"{variable} is set and holds no key: put keys in it, or unset it"


def test_the_command_serves_and_ends_well(shop: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sentilora", "serve", str(shop), "--port", "0", "--threads", "1"]
    environment = {**os.environ, "SENTILORA_API_KEYS": "one two"}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            [*command, "--queue-tokens", "200000", "--drain-delay", "0.5"],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        limits = httpx.Limits(max_keepalive_connections=0)
        with httpx.Client(base_url=url, headers={"Authorization": "Bearer two"}, timeout=60, limits=limits) as client:
            until(lambda: _answers(client))
            with pytest.raises(UserError, match="choose another --host or --port"):
                serve([shop], SETTINGS, port=int(url.rsplit(":", 1)[-1]))
            with ThreadPoolExecutor(6) as pool:
                batch = {"texts": [f"secret {LONG}"] * 256, "adapter": "tiny"}
                asking = [pool.submit(client.post, "/v1/predict", json=batch) for _ in range(6)]
                until(lambda: " 0.0" not in _queue(client) or all(each.done() for each in asking))
                server.send_signal(signal.SIGTERM)
                until(lambda: client.get("/ready").status_code == 503)
                assert [each.result().status_code for each in asking] == [200] * 6
        assert server.wait(30) == 0
    lines = [json.loads(line) for line in (tmp_path / "log").read_text().splitlines()]
    assert sum(line.get("endpoint") == "/v1/predict" and line["status"] == 200 for line in lines) == 6
    assert all(line["request_id"] for line in lines if line["message"] == "request")
    assert "secret" not in (tmp_path / "log").read_text()


def _closed(connection: socket.socket) -> bool:
    """Whether the other side takes nothing more."""
    try:
        connection.send(b"G")  # it could be the head of one more request
    except ConnectionError:
        return True
    return False


def _answers(client: httpx.Client) -> bool:
    try:
        return client.get("/ready").status_code == 200
    except httpx.TransportError:
        return False


def _queue(client: httpx.Client) -> str:
    return next(line for line in client.get("/metrics").text.splitlines() if line.startswith("sentilora_queue_tokens"))
