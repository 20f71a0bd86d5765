"""Memory of `sentilora score` at many rows against few: distinct short texts, embedded base's shape, random weights.

python benchmarks/scoring_memory.py --rows 10000 1000000

A million rows take some ten minutes on two cores. The peak is that of the whole process, as the system counts it.
Writes benchmarks/results/scoring-memory.json.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import islice, product
from pathlib import Path
from typing import Any

import scoring
from machine import describe_machine

WORDS = 100  # their triples are a million texts
RESULT = scoring.ROOT / "benchmarks" / "results" / "scoring-memory.json"


def main() -> None:
    """Score files of so many rows, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000, 1_000_000])
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        scoring.build(argparse.Namespace(shape="embedded", adapters=0, workers=()), Path(folder))
        runs = [measure(Path(folder), rows) for rows in sorted(arguments.rows)]
    ratio = runs[-1]["peak_mb"] / runs[0]["peak_mb"]
    print(f"memory at {runs[-1]['rows']:,} rows against {runs[0]['rows']:,}: {ratio:.3f}")
    result = {"ratio": ratio, "runs": runs, "machine": describe_machine()}
    RESULT.write_text(json.dumps(result, indent=1) + "\n", "utf-8")


def measure(folder: Path, rows: int) -> dict[str, Any]:
    """Peak memory and rate of one run."""
    source, output = folder / f"{rows}.csv", folder / f"{rows}-scored.csv"
    words = common_words(folder / "bundle" / "tokenizer.json")
    with source.open("w", encoding="utf-8") as file:
        file.write("text\n")
        file.writelines(" ".join(three) + "\n" for three in islice(product(words, repeat=3), rows))
    command = [sys.executable, "-m", "sentilora", "score", source, "-o", output, "--model", folder / "bundle"]
    began = time.monotonic()
    with subprocess.Popen(command) as process:
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        sys.exit(f"{rows} rows: exit code {process.returncode}")
    seconds = time.monotonic() - began
    result = {"rows": rows, "peak_mb": usage.ru_maxrss / 1024, "seconds": seconds, "rows_per_second": rows / seconds}
    print(result, flush=True)
    return result


def common_words(tokenizer: Path) -> list[str]:
    """Words of one token each."""
    vocabulary = json.loads(tokenizer.read_text("utf-8"))["model"]["vocab"]
    words = (word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 3)
    return list(islice(words, WORDS))


if __name__ == "__main__":
    main()
