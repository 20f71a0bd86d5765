"""Bodies that no client would send, over a real socket: each is answered, in time, and never by a failure of ours."""

from __future__ import annotations

import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sentilora.inference.bundle import Bundle
from test_serving import BOSS, GOOD, SETTINGS, serving

BODIES: dict[str, Any] = {
    "/v1/predict": {"texts": [GOOD, "So-so."], "adapter": "one"},
    "/predict": {"inputs": [[GOOD], ["So-so."]], "truncate": True, "raw_scores": False},
    "/classify": {"model": "one", "input": [GOOD], "truncate_prompt_tokens": -1, "use_activation": True},
    "/v1/classify": {"model": "one", "input": GOOD},
    "/": {"inputs": GOOD, "parameters": {"function_to_apply": "sigmoid", "top_k": 1}},
    "/models/one": {"inputs": [GOOD], "parameters": None},
    "/tokenize": {"inputs": GOOD, "add_special_tokens": False},
    "/v1/adapters": {"name": "reviews"},
}
FRAGMENTS = (
    *(b"NaN", b"-Infinity", b"1e999", b"-0", b"9" * 5000, b"null", b"{}", b"[]", b'""', b"true"),
    *(b'"\\ud800"', b'"\\u0000"', b'"' + "é\u202e\U0001f980".encode() + b'"', b"\xff\xfe", b"\xef\xbb\xbf", b"\x00"),
    *(
        b"[" * 5000,
        b'{"a":' * 2000,
        b"]" * 9,
        b'{"inputs":1,"inputs":2}',
        b'"x' * 99,
        b" " * 9000,
        b"/**/",
        b"\r\n\r\n",
    ),
)
TYPES = (
    *("application/json", "application/json; charset=utf-16", "text/plain", "application/x-www-form-urlencoded"),
    *("multipart/form-data; boundary=x", "application/vnd.api+json", "", "\xe9"),
)


@st.composite
def mutated(draw: st.DrawFn) -> tuple[str, bytes]:
    """A path, and a body that was one for some path before parts of it were cut out, doubled or replaced."""
    path = draw(st.sampled_from(list(BODIES)))
    body = json.dumps(BODIES[draw(st.sampled_from([path, path, path, *BODIES]))]).encode()
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(body)))
        end = draw(st.integers(start, min(start + 20, len(body))))
        between = draw(st.sampled_from(FRAGMENTS) | st.binary(max_size=6) | st.just(b"") | st.just(2 * body[start:end]))
        body = body[:start] + between + body[end:]
    return path, body


@pytest.fixture(scope="module")
def client(bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    opened = Bundle.open(bundle, threads=2, capacity=SETTINGS.queue_tokens)
    with serving(opened, replace(SETTINGS, adapter_folder=tmp_path_factory.mktemp("adapters"))) as client:
        yield client
    opened.scheduler.close()


@pytest.fixture(scope="module")
def connection(client: httpx.Client) -> Iterator[http.client.HTTPConnection]:
    """It opens again by itself where the server closed it, and gives up where no answer comes."""
    connection = http.client.HTTPConnection(client.base_url.host, client.base_url.port, timeout=SETTINGS.deadline)
    yield connection
    connection.close()


def survives(connection: http.client.HTTPConnection, path: str, body: bytes, content_type: str) -> None:
    """Each answer is one of the documented refusals, or an answer; all are JSON, and tell nothing of the inside."""
    connection.request("POST", path, body, {**BOSS, "Content-Type": content_type})
    response = connection.getresponse()
    answer = response.read().decode()
    assert response.status in (200, 400, 403, 404, 413, 422), answer
    assert response.status == 200 or "error" in json.loads(answer)
    assert "Traceback" not in answer
    assert ".py" not in answer


@given(case=mutated(), content_type=st.sampled_from(TYPES))
@settings(max_examples=300, suppress_health_check=list(HealthCheck))
def test_no_mutated_body_breaks_the_server(
    client: httpx.Client, connection: http.client.HTTPConnection, case: tuple[str, bytes], content_type: str
) -> None:
    survives(connection, *case, content_type)


@pytest.mark.slow
@given(case=mutated(), content_type=st.sampled_from(TYPES))
@settings(max_examples=10_000, suppress_health_check=list(HealthCheck))
def test_nor_does_any_of_ten_thousand(
    client: httpx.Client, connection: http.client.HTTPConnection, case: tuple[str, bytes], content_type: str
) -> None:
    survives(connection, *case, content_type)


@pytest.mark.slow
@pytest.mark.skipif(find_spec("schemathesis") is None, reason="schemathesis needs Python 3.10")
def test_the_server_is_as_its_openapi_says(client: httpx.Client, tmp_path: Path) -> None:
    """Requests made from the description, right ones and wrong ones: no 5xx, no hang, and answers as described."""
    checks = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
    command = [
        str(Path(sys.executable).with_name("schemathesis")),
        "run",
        f"{client.base_url}/openapi.json",
        "--checks",
        checks,
        "--seed",
        "1",
    ]
    options = ["--max-examples", "100", "--request-timeout", str(SETTINGS.deadline), "--header"]
    options += [f"{name}: {value}" for name, value in BOSS.items()]
    done = subprocess.run([*command, *options], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=900)
    assert done.returncode == 0, done.stdout[-5000:]
    assert "16 selected / 16 total" in done.stdout
