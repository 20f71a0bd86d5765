"""Accuracy of the recipes on the research data in ../shared, beside TF-IDF with logistic regression.

python benchmarks/accuracy.py best-1000 --seeds 0 1 2
python benchmarks/accuracy.py imdb-small --set max_length=256 precision=fp32 --output imdb-small-256-fp32

Every training is validated on the bundled test reviews, so that no text tested on takes part in any choice. The IMDb
experiments with the recipe `best` are also calibrated afterwards on 2,000 and on 6,000 reviews of films neither trained
nor tested on. Writes benchmarks/results/accuracy-NAME.json.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Callable, Optional

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

import sentilora
from machine import write_result
from sentilora.analysis.calibration import abstention_points, answers_of, calibrate
from sentilora.analysis.evaluation import Abstaining, Evaluation, ask
from sentilora.analysis.metrics import Answers
from sentilora.artifacts import AbstentionPoint
from sentilora.config import load_config, parse_yaml
from sentilora.errors import ModelError
from sentilora.inference import Classifier
from sentilora.inference.abstention import point_for
from sentilora.inference.predictor import Logits
from sentilora.tables import LabelledTexts

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT.parent / "shared" / "data"
TESTED = 5000
CALIBRATED_ON = (2000, 6000)
PRECISIONS = (0.9, 0.95, 0.97)


def imdb() -> tuple[pa.Table, pa.Table]:
    """The 5,000 reviews tested on, and the rest without the films, and without repetitions of the texts, tested on.

    Films in random order fill the test reviews first; the recipe `best` was tuned on films of the rest.
    """
    reviews = pq.read_table(DATA / "imdb_train.parquet").select(["text", "label", "movie"])
    films = list(dict.fromkeys(reviews["movie"].to_pylist()))
    np.random.default_rng(12345).shuffle(films)
    counts = dict(row.values() for row in reviews["movie"].value_counts().to_pylist())
    tested: set[str] = set()
    filled = 0
    for film in films:
        if filled >= TESTED:
            break
        tested.add(film)
        filled += counts[film]
    of_tested = pc.is_in(reviews["movie"], pa.array(sorted(tested)))
    test = reviews.filter(of_tested).slice(0, TESTED)
    repeated = pc.is_in(reviews["text"], test["text"].combine_chunks())
    return test, reviews.filter(pc.invert(pc.or_(of_tested, repeated)))


def drawn(table: pa.Table, texts: int, seed: int) -> pa.Table:
    """So many rows at random, or all."""
    return table.take(np.random.default_rng(seed).permutation(len(table))[:texts])


def balanced(table: pa.Table, texts: int, seed: int) -> pa.Table:
    """So many rows, half of each label, at random."""
    rng = np.random.default_rng(seed)
    labels = np.asarray(table["label"])
    rows = [rng.permutation(np.flatnonzero(labels == label))[: texts // 2] for label in (0, 1)]
    return table.take(rng.permutation(np.concatenate(rows)))


def rest(train: pa.Table) -> pa.Table:
    """Reviews of films that are neither tested on nor trained on."""
    others = imdb()[1]
    others = others.filter(pc.invert(pc.is_in(others["movie"], train["movie"].combine_chunks())))
    return drawn(others, max(CALIBRATED_ON), seed=54321)


def domains(*names: str) -> pa.Table:
    """Product reviews of these kinds."""
    table = pq.read_table(DATA / "amazon_books_dvd_kitchen.parquet")
    return table.filter(pc.is_in(table["domain"], pa.array(names)))


@dataclass(frozen=True)
class Experiment:
    """What one row of the table trains on, and tests on, with which recipe."""

    recipe: str
    train: Callable[[int], Any]
    tests: Callable[[], Mapping[str, Any]]
    calibrated_on: Optional[Callable[[pa.Table], pa.Table]] = None


EXPERIMENTS = {
    "quickstart": Experiment(
        "quickstart",
        lambda seed: "bundled",
        lambda: {"imdb": imdb()[0], "uci_amazon": pq.read_table(DATA / "uci_amazon.parquet")},
    ),
    "imdb-small": Experiment("imdb-small", lambda seed: balanced(imdb()[1], 1000, seed), lambda: {"imdb": imdb()[0]}),
    "best-1000": Experiment(
        "best", lambda seed: balanced(imdb()[1], 1000, seed), lambda: {"imdb": imdb()[0]}, calibrated_on=rest
    ),
    "best-20000": Experiment("best", lambda seed: imdb()[1], lambda: {"imdb": imdb()[0]}),
    "best-domains": Experiment(
        "best", lambda seed: domains("books", "dvd"), lambda: {"amazon_kitchen": domains("kitchen")}
    ),
}


def trained(recipe: str, settings: dict[str, Any], seed: int, data: Any, folder: Path) -> sentilora.Run:
    """A run of its own in the folder, validated on the bundled test reviews."""
    config = load_config(recipe, {"base": "embedded", **settings, "seed": seed, "limit": None})
    return sentilora.train(config, data=data, validation="bundled:test", output=folder / f"seed-{seed}")


def measure(experiment: Experiment, settings: dict[str, Any], seed: int, keep: Optional[Path]) -> dict[str, Any]:
    """Train once, test, and keep what matters."""
    data = experiment.train(seed)
    with tempfile.TemporaryDirectory() if keep is None else nullcontext(keep) as folder:
        run = trained(experiment.recipe, settings, seed, data, Path(folder))
    evaluations = {
        name: sentilora.evaluate(run.classifier, sentilora.read_labelled(table))
        for name, table in experiment.tests().items()
    }
    return {
        "seed": seed,
        "accuracy": {name: evaluation.metrics.accuracy for name, evaluation in evaluations.items()},
        "f1": {name: evaluation.metrics.f1 for name, evaluation in evaluations.items()},
        "tested": {name: evaluation.metrics.n for name, evaluation in evaluations.items()},
        "truncated": {name: evaluation.encoding.truncated for name, evaluation in evaluations.items()},
        "training": run.record.training,
        "loss_by_epoch": [epoch.loss for epoch in run.record.epochs],
        "training_seconds": run.record.training_seconds,
        "texts_per_second": run.record.texts_per_second,
        "precision": run.record.precision,
        "batching": run.record.batching,
        "calibration": calibrations(run.classifier, experiment.calibrated_on(data), evaluations["imdb"])
        if experiment.calibrated_on
        else None,
        "baseline": dict(baseline(sentilora.read_labelled(data), experiment.tests())),
    }


def calibrations(classifier: Classifier, reviews: pa.Table, test: Evaluation) -> list[dict[str, Any]]:
    """What calibrating on the first so many of these reviews does for the test reviews."""
    labelled = sentilora.read_labelled(reviews)
    logits = ask(classifier, labelled)[1]
    return [calibration(logits[:count], labelled.labels[:count], test) for count in CALIBRATED_ON]


def calibration(logits: Logits, labels: npt.NDArray[np.int64], test: Evaluation) -> dict[str, Any]:
    """What a temperature and thresholds of these logits, [n, 2], and labels, [n], come to on the test reviews."""
    fitted = calibrate(logits, labels)
    points = abstention_points(answers_of(logits, labels, fitted.temperature))
    answers = answers_of(test.logits, test.answers.labels, fitted.temperature)
    after = calibrate(test.logits / fitted.temperature, test.answers.labels).before
    return {
        "fitted_on": len(labels),
        "validation": asdict(fitted),
        "test_before": calibrate(test.logits, test.answers.labels).before,
        "test_after": after,
        "abstaining": {precision: abstaining(precision, points, answers) for precision in PRECISIONS},
    }


def abstaining(precision: float, points: Sequence[AbstentionPoint], answers: Answers) -> dict[str, Any]:
    """What comes of wanting a precision; what is said where no confidence reaches it."""
    try:
        came = Abstaining.of(point_for(precision, tuple(points)), answers)
        return {**asdict(came), "expected": msgspec.to_builtins(came.expected)}
    except ModelError as error:
        return {"refused": str(error)}


def baseline(train: LabelledTexts, tests: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    """Accuracy of TF-IDF over words and pairs of words with logistic regression."""
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    model = make_pipeline(
        TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True), LogisticRegression(C=10, max_iter=1000)
    )
    model.fit(train.texts, train.labels)
    for name, table in tests.items():
        test = sentilora.read_labelled(table)
        yield name, float((model.predict(test.texts) == test.labels).mean())


def main() -> None:
    """Run one experiment over its seeds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", choices=EXPERIMENTS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--set", nargs="*", default=[], metavar="SETTING=VALUE", help="Depart from the recipe.")
    parser.add_argument("--keep", type=Path, help="Folder to keep the runs in.")
    parser.add_argument("--output", help="NAME of the result; by default the experiment's.")
    arguments = parser.parse_args()

    experiment = EXPERIMENTS[arguments.experiment]
    changes = changes_of(arguments.set)
    name = arguments.output or arguments.experiment
    results: list[dict[str, Any]] = []
    for seed in arguments.seeds:
        results.append(measure(experiment, changes, seed, arguments.keep))
        latest = results[-1]
        for test, accuracy in latest["accuracy"].items():
            print(
                f"{name} seed {seed} on {latest['tested'][test]:,} of {test}: accuracy {accuracy:.4f}, F1 "
                f"{latest['f1'][test]:.4f}; baseline {latest['baseline'][test]:.4f}; "
                f"{latest['training_seconds']:.0f} s, {latest['texts_per_second']:.1f} texts/s",
                flush=True,
            )
        keep(arguments, experiment.recipe, changes, results)
    for test, accuracy in means_of(results)["accuracy"].items():
        print(f"{name} on {test}: mean accuracy {accuracy:.4f}, baseline {means_of(results)['baseline'][test]:.4f}")


def changes_of(options: Sequence[str]) -> dict[str, Any]:
    """Settings, nested as recipes have them, of SETTING=VALUE or OUTER.INNER=VALUE as recipes have values."""
    changes: dict[str, Any] = {}
    for option in options:
        name, _, value = option.partition("=")
        *outer, inner = name.split(".")
        nested = changes
        for each in outer:
            nested = nested.setdefault(each, {})
        nested[inner] = parse_yaml(value)
    return changes


def means_of(results: Sequence[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Over the seeds."""
    return {
        kind: {test: statistics.mean(result[kind][test] for result in results) for test in results[0][kind]}
        for kind in ("accuracy", "baseline")
    }


def keep(arguments: argparse.Namespace, recipe: str, changes: dict[str, Any], results: list[dict[str, Any]]) -> None:
    """Write what there is so far, so that a seed cut short costs itself alone."""
    name = arguments.output or arguments.experiment
    report = {"experiment": name, "recipe": recipe, "changes": changes, "mean": means_of(results), "runs": results}
    write_result(f"accuracy-{name}", report)


if __name__ == "__main__":
    main()
