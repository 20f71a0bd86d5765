"""How many planted label errors `sentilora audit` finds, and how long it looks, on IMDb reviews in ../shared.

python benchmarks/audit.py

Flips 3 % of the labels of 5,000 reviews; reviews of one film do not judge one another. Writes
benchmarks/results/audit.json.
"""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np

from machine import write_result
from sentilora.analysis.audit import audit
from sentilora.analysis.duplicates import near_duplicates
from sentilora.tables import Columns, read_labelled

ROOT = Path(__file__).resolve().parents[1]
REVIEWS = ROOT.parent / "shared" / "data" / "imdb_train.parquet"
TEXTS, FLIPPED, SEED = 5000, 0.03, 0


def main() -> None:
    """Plant, look, count."""
    everything = read_labelled(REVIEWS, Columns(group="movie"))
    rng = np.random.default_rng(SEED)
    data = everything.take(rng.permutation(len(everything))[:TEXTS])
    flipped = rng.permutation(TEXTS)[: round(FLIPPED * TEXTS)]
    labels = data.labels.copy()
    labels[flipped] = 1 - labels[flipped]
    planted = set((data.rows[flipped] + 1).tolist())

    started = time.perf_counter()
    found = [error.row for error in audit(dataclasses.replace(data, labels=labels)).label_errors]
    seconds = time.perf_counter() - started
    scores = {}
    for name, rows in {"flagged": found, f"top {len(planted)}": found[: len(planted)]}.items():
        hits = len(planted & set(rows))
        scores[name] = {"rows": len(rows), "precision": hits / len(rows), "recall": hits / len(planted)}
        print(f"{name}: {len(rows)} rows, precision {hits / len(rows):.3f}, recall {hits / len(planted):.3f}")
    print(f"{seconds:.1f} s for {TEXTS:,} reviews")

    started = time.perf_counter()
    repeated = len(near_duplicates(everything.texts))
    seconds_for_duplicates = time.perf_counter() - started
    print(f"{repeated} near-duplicates among {len(everything):,} reviews in {seconds_for_duplicates:.1f} s")
    report = {
        "label_errors": {"texts": TEXTS, "planted": len(planted), "seed": SEED, **scores, "seconds": seconds},
        "duplicates": {"texts": len(everything), "found": repeated, "seconds": seconds_for_duplicates},
    }
    write_result("audit", report)


if __name__ == "__main__":
    main()
