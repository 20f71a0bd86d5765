"""Whether `sentilora suggest` picks texts that teach more than random ones do, on IMDb reviews in ../shared.

python benchmarks/suggesting.py
python benchmarks/suggesting.py --seeds 0 --arms random suggested --budgets 50 100 --pool 500 --test 200 --output small

Each arm grows its labels from one budget to the next: it draws, or is suggested, new reviews of the pool, is told their
labels, and trains anew, some times with other random numbers: a point is the mean of these, and the first chooses what
comes next. `--base` may be a base that `sentilora pretrain` made. Writes benchmarks/results/suggesting.json.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Optional, Protocol

import numpy as np
import numpy.typing as npt
import pyarrow as pa

import sentilora
from accuracy import changes_of, drawn, imdb
from machine import write_result
from sentilora.analysis.suggestions import suggest
from sentilora.config import TrainConfig, load_config
from sentilora.inference import Classifier
from sentilora.tables import LabelledTexts, UnlabelledTexts, read_labelled

RECIPE = "best"
SETTINGS = {"epochs": 8, "max_length": 256, "validation_limit": 50}

Rows = npt.NDArray[np.int64]
Choice = Callable[[LabelledTexts, Rows, int, Optional[Classifier], int], Rows]


def at_random(pool: LabelledTexts, labelled: Rows, n: int, classifier: Optional[Classifier], seed: int) -> Rows:
    """Any that are not labelled."""
    del classifier
    rest = np.setdiff1d(np.arange(len(pool)), labelled)
    return np.random.default_rng((seed, len(labelled))).permutation(rest)[:n]


def suggested(pool: LabelledTexts, labelled: Rows, n: int, classifier: Optional[Classifier], seed: int) -> Rows:
    """As the command does it, without a model at first."""
    data = UnlabelledTexts(pool.texts, "the pool", np.arange(len(pool)))
    done = UnlabelledTexts([pool.texts[row] for row in labelled], "labelled", labelled) if len(labelled) else None
    found = suggest(data, n, classifier=classifier, labelled=done, seed=seed)
    return np.array([each.row - 1 for each in found.chosen])


def random_first(pool: LabelledTexts, labelled: Rows, n: int, classifier: Optional[Classifier], seed: int) -> Rows:
    """The first ones at random, then as suggested."""
    return (suggested if len(labelled) else at_random)(pool, labelled, n, classifier, seed)


def half_suggested(pool: LabelledTexts, labelled: Rows, n: int, classifier: Optional[Classifier], seed: int) -> Rows:
    """The first ones at random, then half of them as suggested."""
    if classifier is None:
        return at_random(pool, labelled, n, classifier, seed)
    chosen = suggested(pool, labelled, n // 2, classifier, seed)
    others = at_random(pool, np.concatenate([labelled, chosen]), n - len(chosen), classifier, seed)
    return np.concatenate([chosen, others])


def least_sure(pool: LabelledTexts, labelled: Rows, n: int, classifier: Optional[Classifier], seed: int) -> Rows:
    """The first ones at random, then those that the model is least sure of, whatever they have in common."""
    if classifier is None:
        return at_random(pool, labelled, n, classifier, seed)
    rest = np.setdiff1d(np.arange(len(pool)), labelled)
    confidences = [answer.confidence for answer in classifier.predict([pool.texts[row] for row in rest])]
    return rest[np.argsort(confidences, kind="stable")[:n]]


ARMS: dict[str, Choice] = {
    "random": at_random,
    "suggested": suggested,
    "random-then-suggested": random_first,
    "random-then-half-suggested": half_suggested,
    "random-then-least-sure": least_sure,
}


def train(config: TrainConfig, pool: LabelledTexts, labelled: Rows, folder: Path) -> Classifier:
    """Train on these rows."""
    labels = pa.array(pool.labels[labelled])
    table = pa.table({"text": [pool.texts[row] for row in labelled], "label": labels})
    return sentilora.train(config, data=table, validation="bundled:test", output=folder).classifier


@dataclass(frozen=True)
class Learnt:
    """Classifiers that learnt the same labels, and how often each is right."""

    classifiers: list[Classifier]
    accuracies: list[float]


class Learner(Protocol):
    """Learns labels of a pool, and is tested."""

    pool: LabelledTexts

    def learn(self, labelled: Rows) -> Learnt:
        """From these rows."""
        ...


class TrainedLearner:
    """Trains and tests with one seed's random numbers, once for each choice of labels: arms may begin alike."""

    def __init__(self, configs: Sequence[TrainConfig], pool: LabelledTexts, test: LabelledTexts) -> None:
        self.configs = configs
        self.pool = pool
        self.test = test
        self.known: dict[bytes, Learnt] = {}

    def learn(self, labelled: Rows) -> Learnt:
        """From these rows."""
        if labelled.tobytes() not in self.known:
            with tempfile.TemporaryDirectory() as folder:
                learnt = [train(each, self.pool, labelled, Path(folder) / str(each.seed)) for each in self.configs]
            accuracies = [sentilora.evaluate(each, self.test).metrics.accuracy for each in learnt]
            self.known[labelled.tobytes()] = Learnt(learnt, accuracies)
        return self.known[labelled.tobytes()]


def curve(arm: str, seed: int, learner: Learner, budgets: Sequence[int]) -> list[dict[str, Any]]:
    """Accuracy at each budget."""
    pool = learner.pool
    labelled: Rows = np.array([], dtype=np.int64)
    classifier: Optional[Classifier] = None
    points = []
    for budget in budgets:
        started = time.perf_counter()
        chosen = ARMS[arm](pool, labelled, budget - len(labelled), classifier, seed)
        choosing = time.perf_counter() - started
        labelled = np.concatenate([labelled, chosen])
        learnt = learner.learn(labelled)
        classifier = learnt.classifiers[0]
        accuracy = statistics.mean(learnt.accuracies)
        points.append(
            {
                "arm": arm,
                "seed": seed,
                "labels": len(labelled),
                "accuracy": accuracy,
                "accuracies": learnt.accuracies,
                "positive_share": float(pool.labels[labelled].mean()),
                "choosing_seconds": choosing,
            }
        )
        print(f"{arm} seed {seed}, {len(labelled)} labels: accuracy {accuracy:.4f}", flush=True)
    return points


def main() -> None:
    """Run the arms over the seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--arms", nargs="+", choices=ARMS, default=["random", "random-then-suggested"])
    parser.add_argument("--budgets", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--base", default="embedded")
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING=VALUE", help="Depart from the settings.")
    parser.add_argument("--trainings", type=int, default=2, help="Of each point.")
    parser.add_argument("--pool", type=int, default=3000)
    parser.add_argument("--test", type=int, default=1000)
    parser.add_argument("--output", default="suggesting", help="NAME of the result.")
    arguments = parser.parse_args()

    settings = {**SETTINGS, "base": arguments.base, **changes_of(arguments.set)}
    started = time.perf_counter()
    test_table, rest = imdb()
    test = read_labelled(drawn(test_table, arguments.test, seed=0))
    points: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        pool = read_labelled(drawn(rest, arguments.pool, seed))
        seeds = [seed + 100 * again for again in range(arguments.trainings)]
        learner = TrainedLearner([load_config(RECIPE, {**settings, "seed": each}) for each in seeds], pool, test)
        for arm in arguments.arms:
            points += curve(arm, seed, learner, arguments.budgets)
    means = {
        arm: {
            budget: statistics.mean(p["accuracy"] for p in points if (p["arm"], p["labels"]) == (arm, budget))
            for budget in arguments.budgets
        }
        for arm in arguments.arms
    }
    for arm, scores in means.items():
        print(f"{arm}: " + ", ".join(f"{accuracy:.4f} with {budget}" for budget, accuracy in scores.items()))
    report = {
        "recipe": RECIPE,
        "changes": settings,
        "trainings": arguments.trainings,
        "pool": arguments.pool,
        "tested": arguments.test,
        "mean": means,
        "points": points,
        "seconds": time.perf_counter() - started,
    }
    write_result(arguments.output, report)


if __name__ == "__main__":
    main()
