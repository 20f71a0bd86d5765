"""Speed, latency, start and memory of bundles against Transformers' pipeline and other int8 runtimes.

python benchmarks/scoring.py --shape distilbert --texts 64 --rounds 3
python benchmarks/scoring.py --shape embedded --adapters 20 --workers bundle adapters file

Many adapters are measured against one, and `score` on a file against the same texts in memory. The other runtimes are
in `rivals.py`, which says what they need.

Weights are random (as fast as trained ones), so the bundle is built without its gate; texts are distinct reviews of
../shared/data spread over all lengths, 256 tokens at most. Everything is measured in turn in processes of their own,
round by round; a figure is the median over the rounds. Writes
benchmarks/results/scoring-SHAPE.json.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Callable

import numpy as np

from machine import peak_mb, write_result
from models import MAX_LENGTH, build, reviews
from rivals import BUILDERS, RIVALS
from sentilora.text import TextEncoder

CALIBRATION_TEXTS = 64
ADAPTERS = ("adapters", "one-adapter")
WORKERS = ("pipeline-32", "pipeline-1", "bundle", *ADAPTERS, *RIVALS, "file", "pipeline-start", "bundle-start")


def main() -> None:
    """Build the models, and measure round by round; or be one worker of one round."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shape", choices=("distilbert", "embedded"), default="distilbert")
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--adapters", type=int, default=20)
    parser.add_argument("--file-texts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", nargs="+", choices=WORKERS, default=WORKERS)
    parser.add_argument("--worker", choices=WORKERS, help=argparse.SUPPRESS)
    parser.add_argument("--models", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        print(json.dumps(MEASURES[arguments.worker](arguments.models, arguments)))
        return
    with tempfile.TemporaryDirectory() as folder:
        models = Path(folder)
        model, encoder = build(models, arguments.shape, arguments.adapters)
        for rival in set(RIVALS) & set(arguments.workers):
            BUILDERS[rival](model, encoder, models, reviews(CALIBRATION_TEXTS, "imdb_unsup"))
        for count in {arguments.texts, arguments.file_texts}:
            texts_file(models, count).write_text(json.dumps(reviews(count)), "utf-8")
        lone_file(models).write_text(full_text(encoder), "utf-8")
        rounds = [
            {worker: run(arguments, worker, models) for worker in arguments.workers} for _ in range(arguments.rounds)
        ]
    report(arguments, rounds)


def run(arguments: argparse.Namespace, worker: str, models: Path) -> dict[str, float]:
    """One worker in a new process."""
    command = [sys.executable, __file__, "--worker", worker, "--models", str(models), "--shape", arguments.shape]
    for option in ("texts", "adapters", "file_texts"):
        command += [f"--{option.replace('_', '-')}", str(getattr(arguments, option))]
    began = time.monotonic()
    process = subprocess.run(command, capture_output=True, text=True, check=False)
    if process.returncode != 0:
        sys.exit(f"{worker}: {process.stderr}")
    result: dict[str, float] = json.loads(process.stdout.splitlines()[-1])
    result["process_seconds"] = time.monotonic() - began
    print(worker, {name: round(value, 4) for name, value in result.items()}, flush=True)
    return result


def report(arguments: argparse.Namespace, rounds: list[dict[str, dict[str, float]]]) -> None:
    """Print and keep the medians, and the ratios within each round."""
    ratios = {}
    for name, ours, theirs, figure in (
        ("texts/s against pipeline, batch 32", "bundle", "pipeline-32", "texts_per_second"),
        ("texts/s against pipeline, batch 1", "bundle", "pipeline-1", "texts_per_second"),
        ("latency of one text against pipeline", "bundle", "pipeline-1", "latency"),
        ("process to first answer against pipeline", "bundle-start", "pipeline-start", "process_seconds"),
        ("peak memory against pipeline, batch 32", "bundle", "pipeline-32", "peak_mb"),
        ("texts/s of many adapters against a merged bundle", "adapters", "bundle", "texts_per_second"),
        ("memory of many adapters against one", "adapters", "one-adapter", "peak_mb"),
        *((f"texts/s against {rival}", "bundle", rival, "texts_per_second") for rival in RIVALS),
    ):
        if {ours, theirs} <= set(arguments.workers):
            ratios[name] = statistics.median(each[ours][figure] / each[theirs][figure] for each in rounds)
    if "file" in arguments.workers:
        ratios["rows/s of a file against texts/s in memory"] = statistics.median(
            each["file"]["rows_per_second"] / each["file"]["texts_per_second"] for each in rounds
        )
    medians = {
        worker: {figure: statistics.median(each[worker][figure] for each in rounds) for figure in rounds[0][worker]}
        for worker in arguments.workers
    }
    for name, ratio in ratios.items():
        print(f"{arguments.shape}: {name}: {ratio:.3f}")
    options = {name: getattr(arguments, name) for name in ("shape", "texts", "adapters", "file_texts")}
    result = {**options, "max_length": MAX_LENGTH, "ratios": ratios, "medians": medians, "rounds": rounds}
    write_result(f"scoring-{arguments.shape}", result)


def with_pipeline(models: Path, batch_size: int, texts: Sequence[str]) -> dict[str, float]:
    """Transformers' pipeline in fp32, with all cores."""
    from transformers import pipeline

    classify = pipeline("text-classification", model=str(models / "merged"), device="cpu", dtype="float32")
    options = {"batch_size": batch_size, "truncation": True, "max_length": MAX_LENGTH}
    return measure(lambda some: classify(list(some), **options), models, texts)


def with_bundle(models: Path, texts: Sequence[str]) -> dict[str, float]:
    """The int8 bundle, with all cores."""
    from sentilora import Classifier

    return measure(Classifier.load(models / "bundle"), models, texts)


def with_adapters(name: str, models: Path, texts: Sequence[str]) -> dict[str, float]:
    """Each text for any adapter of the bundle of that name."""
    from sentilora.inference.bundle import Bundle

    classifiers = list(Bundle.open(models / name).classifiers.values())
    chosen = np.random.default_rng(0).integers(len(classifiers), size=len(texts))

    def answer(some: Sequence[str]) -> None:
        encoded = classifiers[0].encoder.encode(some)
        futures = [classifiers[number].predictor.submit(text.ids) for number, text in zip(chosen, encoded)]  # type: ignore[attr-defined]
        for future in futures:
            future.result()

    return measure(answer, models, texts)


def with_file(models: Path, texts: Sequence[str]) -> dict[str, float]:
    """`score` on a file of the texts, the opening of the bundle included, between two runs over them in memory."""
    from sentilora import Classifier
    from sentilora.scoring import score

    classify = Classifier.load(models / "bundle")
    classify(texts[:8])

    def in_memory() -> float:
        began = time.perf_counter()
        classify(texts)
        return time.perf_counter() - began

    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "texts.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), "utf-8")
        before = in_memory()
        began = time.perf_counter()
        result = score(source, Path(folder) / "scored.jsonl", model=models / "bundle")
        seconds = time.perf_counter() - began
    if result.scored != len(texts) or result.repeated:
        raise SystemExit(f"{len(texts)} texts became {result}")
    return {
        "rows_per_second": len(texts) / seconds,
        "texts_per_second": 2 * len(texts) / (before + in_memory()),
    }


def with_rival(name: str, models: Path, texts: Sequence[str]) -> dict[str, float]:
    """Another runtime."""
    return measure(RIVALS[name](TextEncoder.load(models / "merged", MAX_LENGTH, "head"), models), models, texts)


def measure(classify: Callable[[Sequence[str]], Any], models: Path, texts: Sequence[str]) -> dict[str, float]:
    """Texts a second over all, and the median seconds for one full text alone."""
    classify(texts[:8])
    began = time.perf_counter()
    classify(texts)
    seconds = time.perf_counter() - began
    lone, latencies = [lone_file(models).read_text("utf-8")], []
    classify(lone)
    for _ in range(9):
        began = time.perf_counter()
        classify(lone)
        latencies.append(time.perf_counter() - began)
    return {"texts_per_second": len(texts) / seconds, "latency": statistics.median(latencies), "peak_mb": peak_mb()}


def texts_file(models: Path, count: int) -> Path:
    """Where a worker finds its texts, so that it holds no others in memory."""
    return models / f"texts-{count}.json"


def texts_of(models: Path, count: int) -> list[str]:
    """So many texts, as the first process chose them."""
    texts: list[str] = json.loads(texts_file(models, count).read_text("utf-8"))
    return texts


def lone_file(models: Path) -> Path:
    """Where a worker finds the text whose latency counts."""
    return models / "lone.txt"


def full_text(encoder: TextEncoder) -> str:
    """A text of as many tokens as are read, and no more: no part of a latency is spent on what is cut off."""
    return next(text for text in reviews(2000) if len(encoder.tokenizer.encode(text).ids) == MAX_LENGTH)


def first_answer_of_pipeline(models: Path, _: argparse.Namespace) -> dict[str, float]:
    """Import, load, answer once."""
    from transformers import pipeline

    pipeline("text-classification", model=str(models / "merged"), device="cpu")("A gorgeous, moving film.")
    return {}


def first_answer_of_bundle(models: Path, _: argparse.Namespace) -> dict[str, float]:
    """The same with a bundle."""
    from sentilora import Classifier

    Classifier.load(models / "bundle")("A gorgeous, moving film.")
    return {}


MEASURES: dict[str, Callable[[Path, argparse.Namespace], dict[str, float]]] = {
    "pipeline-32": lambda models, arguments: with_pipeline(models, 32, texts_of(models, arguments.texts)),
    "pipeline-1": lambda models, arguments: with_pipeline(models, 1, texts_of(models, arguments.texts)),
    "bundle": lambda models, arguments: with_bundle(models, texts_of(models, arguments.texts)),
    **{
        name: lambda models, arguments, name=name: with_adapters(name, models, texts_of(models, arguments.texts))  # type: ignore[misc]
        for name in ADAPTERS
    },
    **{
        name: lambda models, arguments, name=name: with_rival(name, models, texts_of(models, arguments.texts))  # type: ignore[misc]
        for name in RIVALS
    },
    "file": lambda models, arguments: with_file(models, texts_of(models, arguments.file_texts)),
    "pipeline-start": first_answer_of_pipeline,
    "bundle-start": first_answer_of_bundle,
}


if __name__ == "__main__":
    main()
