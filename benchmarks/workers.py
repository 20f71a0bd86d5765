"""How the rate of `sentilora score` grows with cores: one, all of them, and a shard for each.

python benchmarks/workers.py --texts 512 --rounds 3

DistilBERT's shape as an int8 bundle with random weights, on distinct reviews of ../shared of 256 tokens at most. A rate
is rows over the time of whole processes, opening the bundle included. Writes benchmarks/results/workers.json.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Callable

from machine import write_result
from models import build, reviews


def main() -> None:
    """Measure round by round; a figure is the median over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--texts", type=int, default=512)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    cores = sorted(os.sched_getaffinity(0))
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), "distilbert", adapters=0)
        texts = Path(folder) / "texts.jsonl"
        texts.write_text("".join(json.dumps({"text": text}) + "\n" for text in reviews(arguments.texts)), "utf-8")
        ways = {
            "1 core": lambda: seconds_of(Path(folder), [[cores[0]]]),
            f"{len(cores)} cores": lambda: seconds_of(Path(folder), [cores]),
            f"{len(cores)} shards of 1 core": lambda: seconds_of(Path(folder), [[core] for core in cores]),
        }
        rounds = [measure(ways, arguments.texts) for _ in range(arguments.rounds)]
    rates = {way: statistics.median(each[way] for each in rounds) for way in ways}
    for way, rate in rates.items():
        used = 1 if way == "1 core" else len(cores)
        print(f"{way}: {rate:.1f} texts/s, {rate / used / rates['1 core']:.2f} of the ideal")
    write_result("workers", {"texts": arguments.texts, "medians": rates, "rounds": rounds})


def measure(ways: dict[str, Callable[[], float]], texts: int) -> dict[str, float]:
    """Texts a second, each way once."""
    rates = {way: texts / seconds() for way, seconds in ways.items()}
    print({way: round(rate, 1) for way, rate in rates.items()}, flush=True)
    return rates


def seconds_of(folder: Path, shards: Sequence[Sequence[int]]) -> float:
    """How long the file takes in so many shards at once, each on cores of its own."""
    command = [sys.executable, "-m", "sentilora", "score", str(folder / "texts.jsonl"), "--model"]
    command += [str(folder / "bundle"), "--chunk-rows", "32", "--overwrite", "-o", str(folder / "scored.jsonl")]
    began = time.monotonic()
    processes = [
        subprocess.Popen(
            [
                "/usr/bin/env",
                "taskset",
                "-c",
                ",".join(map(str, cores)),
                *command,
                "--shard",
                f"{number}/{len(shards)}",
            ],
            stderr=subprocess.DEVNULL,
        )
        for number, cores in enumerate(shards, start=1)
    ]
    if any(process.wait() for process in processes):
        sys.exit(f"scoring in {len(shards)} shards failed")
    return time.monotonic() - began


if __name__ == "__main__":
    main()
