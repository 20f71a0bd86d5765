"""What int8 costs in accuracy: a run of `best-1000` as a bundle and in fp32, on the 5,000 reviews of accuracy.py.

python benchmarks/int8.py --keep runs

Trains seed 0 unless it is there, exports with 2,000 other reviews, unlabelled, to judge by, and asks both models.
Writes benchmarks/results/int8.json.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import pyarrow.parquet as pq

import sentilora
from accuracy import DATA, EXPERIMENTS, imdb, trained
from machine import write_result
from sentilora.artifacts import MANIFEST
from sentilora.export import export
from sentilora.inference import Classifier

UNLABELLED = 4000  # half to judge by, half to report


def main() -> None:
    """Train, export, measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", type=Path, required=True, help="Folder to keep the run and the bundle in.")
    arguments = parser.parse_args()
    folder = arguments.keep / "seed-0"
    if not folder.is_dir():
        experiment = EXPERIMENTS["best-1000"]
        trained(experiment.recipe, {}, 0, experiment.train(0), arguments.keep)
    unlabelled = arguments.keep / "unlabelled.parquet"
    pq.write_table(pq.read_table(DATA / "imdb_unsup.parquet").select(["text"]).slice(0, UNLABELLED), unlabelled)
    bundle = export([folder], arguments.keep / "bundle", unlabelled=unlabelled, overwrite=True)
    tested = sentilora.read_labelled(imdb()[0])
    accuracy = {
        name: sentilora.evaluate(Classifier.load(model), tested).metrics.accuracy
        for name, model in (("fp32", folder), ("int8", bundle.folder))
    }
    print(", ".join(f"{name} {value:.4f}" for name, value in accuracy.items()) + f" on {len(tested):,} reviews")
    manifest = json.loads((bundle.folder / MANIFEST).read_text("utf-8"))
    report = {
        "accuracy": accuracy,
        "tested": len(tested),
        "gate": manifest["gate"],
        "quantisation": manifest["quantisation"],
    }
    write_result("int8", report)


if __name__ == "__main__":
    main()
