"""Memory of `sentilora score` at many rows against few: distinct short texts, embedded base's shape, random weights.

python benchmarks/scoring_memory.py --rows 10000 1000000

A million rows take some ten minutes on two cores. The peak is that of the whole process.
Writes benchmarks/results/scoring-memory.json.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from itertools import islice, product
from pathlib import Path
from typing import Any

from machine import peak_mb, write_result
from models import build

WORDS = 100  # their triples are a million texts


def main() -> None:
    """Score files of so many rows, each in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", type=int, default=[10_000, 1_000_000])
    parser.add_argument("--worker", nargs=3, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker is not None:
        print(score_all(*arguments.worker))
        return
    with tempfile.TemporaryDirectory() as folder:
        build(Path(folder), "embedded", adapters=0)
        runs = [measure(Path(folder), rows) for rows in sorted(arguments.rows)]
    ratio = runs[-1]["peak_mb"] / runs[0]["peak_mb"]
    print(f"memory at {runs[-1]['rows']:,} rows against {runs[0]['rows']:,}: {ratio:.3f}")
    write_result("scoring-memory", {"ratio": ratio, "runs": runs})


def measure(folder: Path, rows: int) -> dict[str, Any]:
    """Peak memory and rate of one run."""
    source, output = folder / f"{rows}.csv", folder / f"{rows}-scored.csv"
    words = common_words(folder / "bundle" / "tokenizer.json")
    with source.open("w", encoding="utf-8") as file:
        file.write("text\n")
        file.writelines(" ".join(three) + "\n" for three in islice(product(words, repeat=3), rows))
    command = [sys.executable, __file__, "--worker", source, output, folder / "bundle"]
    began = time.monotonic()
    process = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    if process.returncode != 0:
        sys.exit(f"{rows} rows: exit code {process.returncode}")
    seconds = time.monotonic() - began
    peak = float(process.stdout.splitlines()[-1])
    result = {"rows": rows, "peak_mb": peak, "seconds": seconds, "rows_per_second": rows / seconds}
    print(result, flush=True)
    return result


def score_all(source: Path, output: Path, bundle: Path) -> float:
    """Score a file, and tell the peak memory of this process."""
    from sentilora.cli.app import cli

    cli.main(["score", str(source), "-o", str(output), "--model", str(bundle)], standalone_mode=False)
    return peak_mb()


def common_words(tokenizer: Path) -> list[str]:
    """Words of one token each."""
    vocabulary = json.loads(tokenizer.read_text("utf-8"))["model"]["vocab"]
    words = (word for word in vocabulary if word.isascii() and word.isalpha() and len(word) > 3)
    return list(islice(words, WORDS))


if __name__ == "__main__":
    main()
