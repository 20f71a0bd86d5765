"""Accuracy of trainings on the research data in ../shared, as a table and as JSON.

python benchmarks/accuracy.py tutorial --seeds 0 1 2 --output benchmarks/results/accuracy-tutorial.json
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

import sentilora
from machine import describe_machine

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"

# The tutorials' setting on 1,000 films' reviews, no film on both sides, and what departs from it.
TUTORIAL: dict[str, Any] = {
    "base": "embedded",
    "data": str(DATA / "imdb_train.parquet"),
    "group_column": "movie",
    "limit": 1000,
    "validation_limit": 1000,
    "max_length": 256,
    "epochs": 4,
}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "tutorial": TUTORIAL,
    "tutorial-base-dropout": {**TUTORIAL, "base_dropout": 0.1},
}


def measure(settings: dict[str, Any], seed: int) -> dict[str, Any]:
    """Train once and keep what matters."""
    with tempfile.TemporaryDirectory() as folder:
        run = sentilora.train(**settings, seed=seed, output=Path(folder) / "run")
    return {
        "seed": seed,
        **run.record.scores,
        "accuracy_by_epoch": [epoch.accuracy for epoch in run.record.epochs],
        "training_seconds": run.record.training_seconds,
        "texts_per_second": run.record.texts_per_second,
        "reload_difference": run.record.reload_difference,
        "training": run.record.training.replace(str(DATA), "shared/data"),
        "validation": run.record.validation.replace(str(DATA), "shared/data"),
        "encoding": run.record.encoding,
    }


def main() -> None:
    """Run one experiment over its seeds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()

    settings = EXPERIMENTS[arguments.experiment]
    results = []
    for seed in arguments.seeds:
        results.append(measure(settings, seed))
        latest = results[-1]
        print(
            f"{arguments.experiment} seed {seed}: accuracy {latest['accuracy']:.3f}, F1 {latest['f1']:.3f}, "
            f"{latest['training_seconds']:.0f} s, {latest['texts_per_second']:.1f} texts/s",
            flush=True,
        )
    mean = statistics.mean(result["accuracy"] for result in results)
    print(f"{arguments.experiment}: mean accuracy {mean:.3f} over seeds {arguments.seeds}")
    if arguments.output is not None:
        shown = {name: value for name, value in settings.items() if name != "data"}
        report = {"experiment": arguments.experiment, "settings": shown, "mean_accuracy": mean, "runs": results}
        arguments.output.parent.mkdir(parents=True, exist_ok=True)
        arguments.output.write_text(json.dumps({**report, "machine": describe_machine()}, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main()
