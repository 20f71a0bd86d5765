"""A server under load: what it accepts it answers, rightly, however much else comes and whatever becomes of it."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import cycle
from pathlib import Path

import httpx
import pytest

from sentilora.inference import Classifier
from sentilora.inference.bundle import Bundle
from sentilora.inference.scheduler import Scheduler
from sentilora.tables import LabelledTexts
from test_serving import SETTINGS, busy, post, serving, until

CLIENTS = 8


@pytest.fixture(scope="module")
def opened(bundle: Path) -> Iterator[Bundle]:
    opened = Bundle.open(bundle, threads=2, capacity=SETTINGS.queue_tokens)
    opened.graph.prepare()
    yield opened
    opened.scheduler.close()


@pytest.fixture(scope="module")
def expected(bundle: Path, reviews: LabelledTexts) -> dict[str, float]:
    """Some texts, and what the classifier says of them in memory."""
    texts = reviews.texts[:40]
    return {answer.text: answer.p_positive for answer in Classifier.load(bundle)(texts)}


def ask(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/v1/predict", json={"texts": [text]})


def p_positive(response: httpx.Response) -> float:
    assert response.status_code == 200, response.text
    return response.json()["predictions"][0]["p_positive"]


def test_a_text_gets_the_same_bits_alone_and_among_others(opened: Bundle, expected: dict[str, float]) -> None:
    with serving(opened, SETTINGS) as client, ThreadPoolExecutor(CLIENTS) as pool:
        assert {text: p_positive(ask(client, text)) for text in expected} == expected
        among_others = [pool.submit(ask, client, text) for text in [*expected] * 3]
    assert [p_positive(each.result()) for each in among_others] == [*expected.values()] * 3


def test_a_job_that_is_there_alone_may_have_every_core() -> None:
    scheduler = Scheduler(workers=2)
    assert scheduler.submit(lambda: scheduler.alone, 1).result(10)
    free, begun = threading.Event(), threading.Event()
    first = scheduler.submit(lambda: begun.set() or free.wait(10), 1)
    assert begun.wait(10)
    assert scheduler.alone
    assert not scheduler.submit(lambda: scheduler.alone, 1).result(10)
    free.set()
    assert first.result(10)
    assert scheduler.submit(lambda: scheduler.alone, 1).result(10)
    scheduler.close()


def test_what_an_overloaded_server_accepts_it_answers_rightly(opened: Bundle, expected: dict[str, float]) -> None:
    encoded = next(iter(opened.classifiers.values())).encoder.encode(expected)
    tokens = {text: len(each.ids) for text, each in zip(expected, encoded)}
    with serving(opened, replace(SETTINGS, queue_tokens=512)) as client, ThreadPoolExecutor(len(expected)) as pool:
        with busy(opened):
            asking = {text: pool.submit(ask, client, text) for text in expected}
            # Until each was refused or waits.
            until(lambda: opened.scheduler.queued == sum(tokens[text] for text in expected if not asking[text].done()))
        answers = {text: each.result() for text, each in asking.items()}
        refused = [answer for answer in answers.values() if answer.status_code == 429]
        accepted = {text: p_positive(answer) for text, answer in answers.items() if answer.status_code != 429}
        assert len(refused) > 1
        assert {answer.headers["retry-after"] for answer in refused} == {"1"}
        assert len(accepted) > 1
        assert accepted == {text: expected[text] for text in accepted}
        assert opened.scheduler.queued == 0
        assert post(client, "/v1/predict", {"texts": list(expected)[:1]})


def test_clients_that_leave_halfway_leave_nothing_behind(opened: Bundle, expected: dict[str, float]) -> None:
    text = next(iter(expected))
    whole = json.dumps({"texts": [text]}).encode()
    head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    request = head % len(whole) + whole
    with serving(opened, SETTINGS) as client:
        address = (client.base_url.host, client.base_url.port)
        with busy(opened):
            for end in (0, 10, len(request) - len(whole), len(request) - 1, len(request)):
                for _ in range(4):
                    with socket.create_connection(address) as leaving:
                        leaving.sendall(request[:end])
            until(lambda: opened.scheduler.queued == 0)
        assert p_positive(ask(client, text)) == expected[text]


def test_sigterm_under_load_loses_no_accepted_request(bundle: Path, expected: dict[str, float], tmp_path: Path) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-m", "sentilora", "serve", str(bundle), "--port", "0", "--drain-delay", "0.2"]
    with log.open("w") as errors:
        server = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        answered: list[str] = []

        def keep_asking() -> None:
            with httpx.Client(base_url=url, timeout=30) as client:
                for text, rightly in cycle(expected.items()):
                    try:
                        response = ask(client, text)
                    except httpx.TransportError:
                        return  # it has stopped
                    assert p_positive(response) == rightly
                    answered.append(text)

        with ThreadPoolExecutor(CLIENTS) as pool:
            try:
                with httpx.Client(base_url=url, timeout=30) as client:
                    assert [ask(client, "🦀").status_code for _ in range(2)] == [200, 200]
                asking = [pool.submit(keep_asking) for _ in range(CLIENTS)]
                until(lambda: len(answered) > 5 * CLIENTS)
                server.send_signal(signal.SIGTERM)
                for each in asking:
                    each.result(60)
                assert server.wait(30) == 0
            finally:
                server.kill()
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    begun = [line["status"] for line in lines if line.get("endpoint") == "/v1/predict"]
    assert begun == [200] * (len(answered) + 2)
    remarks = [line for line in lines if "no word that the model knows" in line["message"]]
    assert len(remarks) == 1  # of two such texts
