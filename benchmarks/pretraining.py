"""What pretraining on unlabelled film reviews gives the recipe `best` with 1,000 labelled ones.

python benchmarks/pretraining.py --minutes 40 --seeds 0 1 2
python benchmarks/pretraining.py --base bases/imdb            # a base that `sentilora pretrain` has made already

Pretrains the embedded base on ../shared/data/imdb_unsup.parquet, then trains and tests as `accuracy.py best-1000` does,
with it and without. The pretraining goes on where it was cut short; what each seed gave is written when it is known.
"""

from __future__ import annotations

import argparse
import json
import statistics
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

import sentilora
from accuracy import DATA, EXPERIMENTS, ROOT, changes_of, imdb, measure
from machine import write_result
from sentilora.artifacts import PRETRAINING_RECORD

UNLABELLED = DATA / "imdb_unsup.parquet"


def main() -> None:
    """Pretrain, then compare over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--base", type=Path, default=ROOT / "bases" / "imdb", help="The pretrained base; made if absent."
    )
    parser.add_argument("--minutes", type=float, help="How long to pretrain; by default one pass.")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING=VALUE", help="Depart from the recipe.")
    parser.add_argument("--only-with", action="store_true", help="Do not train without the pretrained base.")
    parser.add_argument("--output", default="pretraining", help="NAME of the result.")
    arguments = parser.parse_args()

    if not arguments.base.is_dir():
        sentilora.pretrain(str(UNLABELLED), base="embedded", minutes=arguments.minutes, output=arguments.base)
    record = json.loads((arguments.base / PRETRAINING_RECORD).read_text("utf-8"))
    changes = changes_of(arguments.set)
    bases = (
        {"with": str(arguments.base)} if arguments.only_with else {"with": str(arguments.base), "without": "embedded"}
    )
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in bases}
    experiment = replace(EXPERIMENTS["best-1000"], calibrated_on=None)
    unlabelled = set(pq.read_table(UNLABELLED)["text"].to_pylist())
    tested = len(unlabelled & set(imdb()[0]["text"].to_pylist()))
    for seed in arguments.seeds:
        for name, base in bases.items():
            result = measure(experiment, {**changes, "base": base}, seed, keep=None)
            runs[name].append(result)
            print(f"{name} pretraining, seed {seed}: accuracy {result['accuracy']['imdb']:.4f}", flush=True)
        accuracy = {name: [result["accuracy"]["imdb"] for result in results] for name, results in runs.items()}
        report = {
            "pretraining": record,
            "tested_texts_among_the_unlabelled": tested,
            "changes": changes,
            "accuracy": accuracy,
            "runs": runs,
        }
        write_result(arguments.output, report)
    for name, values in accuracy.items():
        print(
            f"{name} pretraining: {', '.join(f'{value:.4f}' for value in values)}; mean {statistics.mean(values):.4f}"
        )


if __name__ == "__main__":
    main()
