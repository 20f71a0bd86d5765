"""Faithfulness and cost of explanations, on IMDb reviews in ../shared.

python benchmarks/explanation.py --model runs/best

Deletes the top 20 % of the words of each review, or a random 20 %, and counts the answers that change; and times the
explanation of a text of 200 words against classifying it. Writes benchmarks/results/explanation.json.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path
from typing import Any, Callable

import numpy as np
import pyarrow.parquet as pq

from machine import write_result
from sentilora.analysis.faithfulness import faithfulness
from sentilora.inference import Classifier, explain

ROOT = Path(__file__).resolve().parents[1]
REVIEWS = ROOT.parent / "shared" / "data" / "imdb_train.parquet"
WORDS = 200
ROUNDS = 5


def seconds(work: Callable[[], Any]) -> float:
    """Median of a few rounds, after one to warm up."""
    work()
    taken = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        work()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def main() -> None:
    """Measure one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", required=True, help="A run, an adapter, a merged model or a bundle.")
    parser.add_argument("--texts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    classifier = Classifier.load(arguments.model)
    reviews = pq.read_table(REVIEWS, columns=["text"])["text"].to_pylist()
    rows = np.random.default_rng(arguments.seed).permutation(len(reviews))
    measured = faithfulness(classifier, [reviews[row] for row in rows[: arguments.texts]], arguments.seed)
    print(f"{measured.texts} reviews, {measured.passes:.1f} forward passes each; answers that change:")
    print(f"  without the top 20 % of the words:  {measured.top:.1%}")
    print(f"  without a random 20 % of the words: {measured.random:.1%}")

    text = " ".join(next(words for words in (reviews[row].split() for row in rows) if len(words) >= WORDS)[:WORDS])
    explanation = explain(classifier, text)
    once, explained = seconds(lambda: classifier(text)), seconds(lambda: explain(classifier, text))
    print(
        f"a text of {WORDS} words: {explanation.passes} forward passes, {explained:.2f} s against {once:.3f} s for "
        f"classifying it: {explained / once:.1f} times"
    )
    cost = {"words": WORDS, "passes": explanation.passes, "seconds": explained, "seconds_to_classify": once}
    report = {
        "model": Path(arguments.model).name,
        "seed": arguments.seed,
        "faithfulness": vars(measured),
        "cost": {**cost, "times": explained / once, "truncated": bool(explanation.hidden)},
    }
    write_result("explanation", report)


if __name__ == "__main__":
    main()
