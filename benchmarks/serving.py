"""Throughput, latency, overload, stopping and swapping of a server under load, against the engine and a pipeline.

python benchmarks/serving.py throughput --shape distilbert --rounds 3
python benchmarks/serving.py throughput --shape embedded --tokens 64 --texts 2000 --pipeline-texts 256
python benchmarks/serving.py latency
python benchmarks/serving.py overload
python benchmarks/serving.py changes

Weights are random (as fast as trained ones). Each request holds one review of ../shared/data, cut to the same number of
tokens. The load comes from this process, the answers from `sentilora serve` in another; every answer is compared with
what the classifier says in memory. Writes benchmarks/results/serving-PART-SHAPE.json.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle, islice, takewhile
from pathlib import Path
from typing import Any

from load import Client, Reply, Request, closed_loop, open_loop, post
from machine import write_result
from models import MAX_LENGTH, build, reviews
from sentilora.inference import Classifier
from sentilora.inference.bundle import Bundle

CONNECTIONS = 64
DISTINCT = 128  # texts
KEY = "boss"
# Workers, threads of each, and the largest batch.
PIPELINES = {"one by one": (1, 2, 1), "two at once": (2, 1, 1), "batches of 8": (1, 2, 8), "batches of 32": (1, 2, 32)}


@dataclass(frozen=True)
class Bench:
    """What all parts need.

    Attributes:
        models: Folder of what `models.build` made.
        texts: Distinct ones.
        arguments: Of the command line.
    """

    models: Path
    texts: list[str]
    arguments: argparse.Namespace

    def requests(self, adapter: str = "") -> list[Request]:
        """A request for each text."""
        named = {"adapter": adapter} if adapter else {}
        return [
            Request(number, post("/v1/predict", {"texts": [text], **named}), adapter)
            for number, text in enumerate(self.texts)
        ]

    def expected(self, classifier: Classifier) -> list[float]:
        """What a classifier says of each text in memory."""
        return [float(prediction.p_positive or 0) for prediction in classifier(self.texts)]


@dataclass(frozen=True)
class Server:
    """A server in a process of its own.

    Attributes:
        process: The same.
        port: That it listens on.
        log: What it wrote to standard error.
    """

    process: subprocess.Popen[str]
    port: int
    log: Path

    @property
    def resident_mb(self) -> float:
        """Its memory now."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text("ascii").split()[1])
        return pages * resource.getpagesize() / 2**20


@contextlib.contextmanager
def started(command: Sequence[Any]) -> Iterator[Server]:
    """Run a Python program that prints its address once it listens."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        with log.open("w") as errors:
            process = subprocess.Popen(
                [sys.executable, *map(str, command)], stdout=subprocess.PIPE, stderr=errors, text=True
            )
        assert process.stdout is not None  # noqa: S101 - as it was asked for
        address = process.stdout.readline().strip()
        if not address:
            sys.exit(log.read_text("utf-8"))
        try:
            yield Server(process, int(address.rsplit(":", 1)[1]), log)
        finally:
            process.terminate()
            process.wait(60)


def served(bundle: Path, *options: Any) -> contextlib.AbstractContextManager[Server]:
    """`sentilora serve`, ready to answer."""
    return started(["-m", "sentilora", "serve", bundle, "--port", 0, "--drain-delay", 0.5, *options])


def throughput(bench: Bench) -> dict[str, Any]:
    """Texts a second in memory, through HTTP, and of the best pipeline behind FastAPI, round by round."""
    arguments = bench.arguments
    classifier = Classifier.load(bench.models / "bundle")
    expected = bench.expected(classifier)
    tried = {name: _pipeline_rate(bench, how, arguments.pipeline_texts // 2) for name, how in PIPELINES.items()}
    best = max(tried, key=lambda name: tried[name])
    rounds = []
    for _ in range(arguments.rounds):
        rounds.append(
            {
                "memory": _memory_rate(bench, classifier),
                "http": asyncio.run(_http_rate(bench, expected)),
                "pipeline": _pipeline_rate(bench, PIPELINES[best], arguments.pipeline_texts),
            }
        )
        print(rounds[-1], flush=True)
    return {
        "pipelines": tried,
        "best_pipeline": best,
        "rounds": rounds,
        "http_to_memory": statistics.median(each["http"] / each["memory"] for each in rounds),
        "http_to_pipeline": statistics.median(each["http"] / each["pipeline"] for each in rounds),
    }


def _memory_rate(bench: Bench, classifier: Classifier) -> float:
    texts = list(islice(cycle(bench.texts), bench.arguments.texts))
    began = time.perf_counter()
    classifier(texts)
    return len(texts) / (time.perf_counter() - began)


async def _http_rate(bench: Bench, expected: list[float]) -> float:
    with served(bench.models / "bundle") as server:
        replies, rate = await _closed(server, bench.requests(), bench.arguments.texts)
    _check(replies, expected)
    return rate


def _pipeline_rate(bench: Bench, how: tuple[int, int, int], texts: int) -> float:
    requests = [Request(number, post("/predict", {"text": text})) for number, text in enumerate(bench.texts)]
    options = [item for pair in zip(("--workers", "--threads", "--batch"), how) for item in pair]
    with started([Path(__file__).with_name("pipeline_server.py"), bench.models / "merged", *options]) as server:
        replies, rate = asyncio.run(_closed(server, requests, texts))
    assert {reply.status for reply in replies} == {200}  # noqa: S101 - else the rate means nothing
    print(how, f"{rate:.2f}", flush=True)
    return rate


async def _closed(server: Server, requests: list[Request], texts: int) -> tuple[list[Reply], float]:
    """Answers to so many requests on all connections, and how many came a second, after as many as warm it up."""
    client = Client(server.port)
    await closed_loop(client, requests[: CONNECTIONS // 4], CONNECTIONS // 4)
    began = time.perf_counter()
    replies = await closed_loop(client, islice(cycle(requests), texts), CONNECTIONS)
    rate = texts / (time.perf_counter() - began)
    client.close()
    return replies, rate


def latency(bench: Bench) -> dict[str, Any]:
    """The time of a text alone, and the tail at half of what the server can do."""
    expected = bench.expected(Classifier.load(bench.models / "bundle"))

    async def one_round() -> dict[str, float]:
        with served(bench.models / "bundle") as server:
            _, capacity = await _closed(server, bench.requests(), bench.arguments.texts)
            client = Client(server.port)
            single = await closed_loop(client, bench.requests()[:40], 1)
            half = await open_loop(client, bench.requests(), capacity / 2, bench.arguments.seconds)
            client.close()
        _check(half, expected)
        seconds = sorted(reply.seconds for reply in half)
        return {
            "capacity": capacity,
            "single": statistics.median(reply.seconds for reply in single),
            "requests": len(half),
            "p50": statistics.median(seconds),
            "p99": seconds[int(len(seconds) * 0.99)],
        }

    rounds = []
    for _ in range(bench.arguments.rounds):
        rounds.append(asyncio.run(one_round()))
        print(rounds[-1], flush=True)
    return {"rounds": rounds, "p99_to_single": statistics.median(each["p99"] / each["single"] for each in rounds)}


def overload(bench: Bench) -> dict[str, Any]:
    """Three times as many requests as can be answered."""
    expected = bench.expected(Classifier.load(bench.models / "bundle"))

    async def measure() -> dict[str, Any]:
        with served(bench.models / "bundle", "--queue-tokens", 16_384) as server:
            _, capacity = await _closed(server, bench.requests(), bench.arguments.texts)
            memory = [server.resident_mb]
            watching = asyncio.ensure_future(_watch(server, memory))
            client = Client(server.port)
            replies = await open_loop(client, bench.requests(), 3 * capacity, bench.arguments.seconds)
            watching.cancel()
            client.close()
        statuses = Counter(reply.status for reply in replies)
        _check([reply for reply in replies if reply.status != 429], expected)
        refused = sorted(reply.seconds for reply in replies if reply.status == 429)
        return {
            "capacity": capacity,
            "statuses": dict(statuses),
            "answered_per_second": statuses[200] / bench.arguments.seconds,
            "refused_median": statistics.median(refused),
            "refused_p99": refused[int(len(refused) * 0.99)],
            "memory_mb": [round(each, 1) for each in memory],
        }

    result = asyncio.run(measure())
    print(result)
    return result


async def _watch(server: Server, memory: list[float]) -> None:
    while True:
        await asyncio.sleep(5)
        memory.append(server.resident_mb)


def changes(bench: Bench) -> dict[str, Any]:
    """SIGTERM, and swaps of an adapter, while all connections ask."""
    result = {"stop": asyncio.run(_stopped(bench)), "swap": asyncio.run(_swapped(bench))}
    print(result)
    return result


async def _stopped(bench: Bench) -> dict[str, Any]:
    """Every request that the server began must be answered, and rightly."""
    expected = bench.expected(Classifier.load(bench.models / "bundle"))
    with served(bench.models / "bundle") as server:
        client = Client(server.port)
        asking = asyncio.ensure_future(closed_loop(client, _until_stopped(server, bench.requests()), CONNECTIONS))
        await asyncio.sleep(5)
        server.process.send_signal(signal.SIGTERM)
        replies = await asking
        code = await asyncio.to_thread(server.process.wait, 60)
        lines = [json.loads(line) for line in server.log.read_text("utf-8").splitlines()]
    answered = [reply for reply in replies if reply.status]
    _check(answered, expected)
    logged = sum(line.get("endpoint") == "/v1/predict" for line in lines)
    return {"exit_code": code, "begun": logged, "answered": len(answered)}


def _until_stopped(server: Server, requests: list[Request]) -> Iterator[Request]:
    return takewhile(lambda _: server.process.poll() is None, cycle(requests))


async def _swapped(bench: Bench) -> dict[str, Any]:
    """`moving` is one adapter, then the other; `still` stays. Few connections, so that answers lie between swaps."""
    opened = Bundle.open(bench.models / "adapters")
    first, second = (bench.expected(opened.classifiers[name]) for name in ("a00", "a01"))
    with tempfile.TemporaryDirectory() as folder:
        bundle = Path(folder) / "bundle"
        shutil.copytree(bench.models / "adapters", bundle)
        adapters = bundle / "adapters"
        originals = adapters.rename(Path(folder) / "versions")
        versions = (originals / "a00", originals / "a01")
        adapters.mkdir()
        shutil.copytree(versions[0], adapters / "moving")
        shutil.copytree(versions[0], adapters / "still")
        with served(bundle, "--adapter-folder", adapters, "--admin-key", KEY) as server:
            client = Client(server.port)
            mixed = [each for pair in zip(bench.requests("moving"), bench.requests("still")) for each in pair]
            end = time.monotonic() + bench.arguments.seconds
            requests = takewhile(lambda _: time.monotonic() < end, cycle(mixed))
            asking = asyncio.ensure_future(closed_loop(client, requests, CONNECTIONS // 8))
            swaps = []
            while time.monotonic() < end - 1:
                await asyncio.sleep(0.5)
                shutil.rmtree(adapters / "moving")
                shutil.copytree(versions[(len(swaps) + 1) % 2], adapters / "moving")
                began = time.perf_counter()
                load = Request(0, post("/v1/adapters", {"name": "moving"}, key=KEY))
                reply = await client.ask(load)
                assert reply.status == 201, reply.body  # noqa: S101 - else nothing is measured
                swaps.append((began, time.perf_counter()))
            replies = await asking
            client.close()
    _check([reply for reply in replies if reply.request.adapter == "still"], first)
    moving = [reply for reply in replies if reply.request.adapter == "moving"]
    assert {reply.status for reply in moving} == {200}  # noqa: S101 - no request may be lost
    wrong = sum(reply.p_positive not in (first[reply.request.text], second[reply.request.text]) for reply in moving)
    settled = [(reply, version) for reply in moving for version in _settled(reply, swaps)]
    late = sum(reply.p_positive != (first, second)[version][reply.request.text] for reply, version in settled)
    return {
        "swaps": len(swaps),
        "answers": len(replies),
        "of_neither_adapter": wrong,
        "between_two_swaps": len(settled),
        "of_the_old_adapter_after_a_swap": late,
        "swap_median": statistics.median(end - began for began, end in swaps),
    }


def _settled(reply: Reply, swaps: list[tuple[float, float]]) -> list[int]:
    """The version that had to answer, where none was being loaded from the request's start to its end."""
    over = sum(end < reply.due for _, end in swaps)
    begun = sum(began < reply.due + reply.seconds for began, _ in swaps)
    return [over % 2] if over == begun else []


def _check(replies: Sequence[Reply], expected: list[float]) -> None:
    wrong = [reply for reply in replies if reply.status != 200 or reply.p_positive != expected[reply.request.text]]
    if wrong:
        sys.exit(f"{len(wrong)} of {len(replies)} answers are wrong, such as {wrong[0].status} {wrong[0].body!r}")


def texts_of(classifier: Classifier, tokens: int) -> list[str]:
    """Reviews of exactly so many tokens."""
    room = classifier.encoder.max_length
    cut = []
    for review in reviews(8 * DISTINCT):
        words = classifier.encoder.tokenizer.encode(review, add_special_tokens=False)
        if len(words.offsets) >= tokens - 2:
            cut.append(review[: words.offsets[tokens - 3][1]])
    exact = [text for text in cut if len(classifier.encoder.encode([text])[0].ids) == min(tokens, room)]
    return exact[:DISTINCT]


PARTS = {"throughput": throughput, "latency": latency, "overload": overload, "changes": changes}


def main() -> None:
    """Build the models, and measure one part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=PARTS)
    parser.add_argument("--shape", choices=("distilbert", "embedded"), default="distilbert")
    parser.add_argument("--tokens", type=int, default=MAX_LENGTH, help="Of each text.")
    parser.add_argument("--texts", type=int, default=256, help="Asked for in a round.")
    parser.add_argument("--pipeline-texts", type=int, default=128, help="The same of the pipeline.")
    parser.add_argument("--seconds", type=float, default=60, help="Under load.")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", type=Path, help="Folder with the models of an earlier run.")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        models = arguments.models or Path(folder)
        if not (models / "bundle").is_dir():
            build(models, arguments.shape, adapters=2)
        texts = texts_of(Classifier.load(models / "bundle"), arguments.tokens)
        result = PARTS[arguments.part](Bench(models, texts, arguments))
    options = {name: getattr(arguments, name) for name in ("shape", "tokens", "texts", "seconds")}
    write_result(f"serving-{arguments.part}-{arguments.shape}", {**options, **result})
    print({name: value for name, value in result.items() if not isinstance(value, (list, dict))})


if __name__ == "__main__":
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    main()
