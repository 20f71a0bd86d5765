"""How long the report of an evaluation takes beyond inference: measures, intervals, slices, a comparison, the page.

python benchmarks/report.py [--rows 25000]

The texts are generated, and the logits drawn, so that nothing but the report is timed. Writes
benchmarks/results/report.json.
"""

from __future__ import annotations

import argparse
import statistics
import time

import numpy as np

from machine import write_result
from sentilora.analysis import Comparison
from sentilora.analysis.calibration import answers_of
from sentilora.analysis.evaluation import evaluation_of
from sentilora.inference import Classifier
from sentilora.inference.predictor import Logits
from sentilora.labels import SENTIMENT
from sentilora.reporting.page import report_page
from sentilora.tables import LabelledTexts
from sentilora.tables.labelled import labelled
from sentilora.text import EncodedText

ROUNDS = 3
MAX_LENGTH = 256
SHOPS = [f"shop {number}" for number in range(40)]
WORDS = ["the", "kettle", "arrived", "late", "but", "works", "well", "and", "pours", "badly", "loud", "fine", "again"]


def made_up(rows: int, rng: np.random.Generator) -> tuple[LabelledTexts, list[EncodedText], Logits]:
    """Texts of up to 400 words with a shop each, and logits that answer nine in ten of them rightly."""
    lengths = rng.integers(3, 400, rows)
    texts = [" ".join(rng.choice(WORDS, length)) for length in lengths]
    margin = rng.normal(0, 3, rows)
    labels = (rng.random(rows) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    encoded = [EncodedText([1], int(length), 0, bool(length > MAX_LENGTH)) for length in lengths]
    logits = np.stack([-margin / 2, margin / 2], axis=1).astype(np.float32)
    return labelled(texts, labels.tolist(), "made up", rng.choice(SHOPS, rows).tolist()), encoded, logits


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=25_000)
    rows = parser.parse_args().rows
    rng = np.random.default_rng(0)
    data, encoded, logits = made_up(rows, rng)
    other = logits + rng.normal(0, 1, logits.shape).astype(np.float32)
    classifier = Classifier(None, None, SENTIMENT)  # type: ignore[arg-type] # it is asked for probabilities only

    parts: dict[str, list[float]] = {"evaluation": [], "comparison": [], "page": [], "total": []}
    for _ in range(ROUNDS):
        started = time.perf_counter()
        evaluation = evaluation_of(classifier, data, encoded, logits, by="shop")
        evaluated = time.perf_counter()
        against = Comparison.of("another", evaluation.answers, answers_of(other, data.labels))
        compared = time.perf_counter()
        page = report_page("a model", data, evaluation, [against])
        written = time.perf_counter()
        seconds = (evaluated - started, compared - evaluated, written - compared, written - started)
        for name, taken in zip(parts, seconds):
            parts[name].append(taken)
    medians = {name: statistics.median(taken) for name, taken in parts.items()}
    print(f"report of {rows:,} rows, {len(page) / 1e6:.2f} MB: {medians['total']:.2f} s")
    for name in ("evaluation", "comparison", "page"):
        print(f"  {name:10s} {medians[name]:.2f} s")
    report = {
        "rows": rows,
        "rounds": ROUNDS,
        "seconds": medians,
        "page_bytes": len(page),
    }
    write_result("report", report)


if __name__ == "__main__":
    main()
