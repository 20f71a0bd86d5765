"""What an analyst asks of an evaluation: right numbers, honest intervals, slices, comparisons, a report."""

from __future__ import annotations

import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pytest
import sklearn.metrics as reference
import torch
from hypothesis import assume, given
from hypothesis import strategies as st

import sentilora
from sentilora.analysis import Answers, Comparison, Evaluation, evaluate
from sentilora.analysis.baseline import baselines, unmeasured
from sentilora.analysis.comparison import McNemar
from sentilora.analysis.evaluation import evaluation_of
from sentilora.analysis.intervals import bootstrap, wilson
from sentilora.analysis.metrics import MEASURES, Measurement
from sentilora.analysis.scores import scores_of
from sentilora.analysis.slices import slices_by, slices_by_length
from sentilora.cli.app import cli
from sentilora.errors import DataError, MissingExtraError, ModelError, UserError
from sentilora.export import export
from sentilora.inference import Classifier
from sentilora.labels import SENTIMENT
from sentilora.modeling.merging import merge
from sentilora.reporting.page import report_page
from sentilora.reporting.verdict import verdict
from sentilora.tables import Columns, LabelledTexts, read_labelled, subset, write_labelled
from sentilora.tables.labelled import labelled
from sentilora.text import EncodedText
from test_cli import sentilora_command

SCORED = st.lists(
    st.tuples(st.integers(0, 1), st.integers(1, 19).map(lambda n: n / 20), st.integers(0, 3)), min_size=2, max_size=60
)


@given(SCORED)
def test_the_measures_are_those_of_scikit_learn(rows: list[tuple[int, float, int]]) -> None:
    labels, p, weights = (np.array(column) for column in zip(*rows))
    assume(len(set(labels[weights > 0])) == 2)
    measured = {
        name: values[0]
        for name, values in Measurement(Answers(labels, p)).weighted(weights[None].astype(np.float64)).items()
    }
    assert tuple(measured) == MEASURES
    predicted, counts = (p > 0.5).astype(int), {"sample_weight": weights}
    expected = {
        "accuracy": reference.accuracy_score(labels, predicted, **counts),
        "f1": reference.f1_score(labels, predicted, zero_division=0, **counts),
        "precision": reference.precision_score(labels, predicted, zero_division=0, **counts),
        "recall": reference.recall_score(labels, predicted, zero_division=0, **counts),
        "mcc": reference.matthews_corrcoef(labels, predicted, **counts),
        "roc_auc": reference.roc_auc_score(labels, p, **counts),
        "pr_auc": reference.average_precision_score(labels, p, **counts),
        "brier": reference.brier_score_loss(labels, p, **counts),
        "log_loss": reference.log_loss(labels, p, **counts),
    }
    assert {name: measured[name] for name in expected} == pytest.approx(expected, abs=1e-9)


def test_a_perfect_and_a_hopeless_model() -> None:
    labels = np.array([0, 1, 0, 1])
    perfect = Measurement(Answers(labels, labels.astype(np.float64))).scores()
    assert (perfect["accuracy"], perfect["mcc"], perfect["roc_auc"], perfect["log_loss"]) == (1, 1, 1, 0)
    hopeless = Measurement(Answers(labels, 1.0 - labels)).scores()
    assert (hopeless["accuracy"], hopeless["mcc"], hopeless["roc_auc"]) == (0, -1, 0)
    assert hopeless["log_loss"] == pytest.approx(34.5, abs=0.1)


def test_95_intervals_of_100_hold_the_truth() -> None:
    rng = np.random.default_rng(0)
    held_by_bootstrap = held_by_wilson = 0
    for trial in range(200):
        right = (rng.random(150) < 0.85).astype(np.float64)
        drawn = bootstrap(lambda weights, right=right: {"share": weights @ right / 150}, 150, seed=trial)["share"]
        held_by_bootstrap += drawn.low <= 0.85 <= drawn.high
        closed = wilson(int(right.sum()), 150)
        held_by_wilson += closed.low <= 0.85 <= closed.high
        assert (drawn.low, drawn.high) == pytest.approx((closed.low, closed.high), abs=0.03)
    assert 180 <= held_by_bootstrap <= 199
    assert 180 <= held_by_wilson <= 199


def test_intervals_are_the_same_every_time() -> None:
    answers = some_answers(500)
    first, second = (bootstrap(Measurement(answers).weighted, 500) for _ in range(2))
    assert first == second
    for name, interval in first.items():
        assert interval.low < interval.value < interval.high, name


def some_answers(n: int, seed: int = 0) -> Answers:
    rng = np.random.default_rng(seed)
    margin = rng.normal(0, 2, n)
    return Answers((rng.random(n) < 1 / (1 + np.exp(-margin))).astype(np.int64), 1 / (1 + np.exp(-margin)))


def test_an_interval_is_never_a_point(reviews: LabelledTexts) -> None:
    """All right, all wrong, all called positive: what the other texts would show is not known so well."""
    labels = reviews.labels[:60]
    sure = np.where(labels == 1, 0.9, 0.1)
    for p_positive in (sure, 1 - sure, np.full(60, 0.9)):
        scores = scores_of(Answers(labels, p_positive))
        assert tuple(scores) == MEASURES
        for name in ("accuracy", "f1", "precision", "recall", "mcc", "roc_auc", "pr_auc"):
            score = scores[name]
            assert -1 <= score.low <= score.value <= score.high <= 1, name
            assert score.high - score.low > 0.03, name
    perfect = scores_of(Answers(labels, sure))
    assert perfect["accuracy"] == wilson(60, 60)
    assert perfect["accuracy"].low == pytest.approx(0.9398, abs=1e-4)  # Wilson (1927): n / (n + z^2)
    assert perfect["mcc"].low < 2 * perfect["accuracy"].low - 1
    never = scores_of(Answers(labels, np.full(60, 0.1)))["precision"]
    assert (never.value, never.low, never.high) == (0, 0, 1)


def test_wilson_and_the_bootstrap_agree_away_from_the_edges() -> None:
    answers = some_answers(600)
    scores, drawn = scores_of(answers), bootstrap(Measurement(answers).weighted, 600)
    for name in MEASURES:
        assert scores[name].value == pytest.approx(drawn[name].value), name
        assert (scores[name].low, scores[name].high) == pytest.approx((drawn[name].low, drawn[name].high), abs=0.01), (
            name
        )


def evaluation_at(margin: np.ndarray, labels: np.ndarray) -> Evaluation:
    """Of a model that gives these margins to as many texts."""
    logits = np.stack([-margin / 2, margin / 2], axis=1).astype(np.float32)
    texts = [f"text {row}" for row in range(len(labels))]
    encoded = [EncodedText([1], 10, 0, False)] * len(labels)
    classifier = Classifier(None, None, SENTIMENT)  # type: ignore[arg-type] # it is asked for probabilities only
    return evaluation_of(classifier, labelled(texts, labels.tolist(), "a test"), encoded, logits)


@pytest.mark.parametrize("n", [60, 200, 2000])
def test_a_calibrated_model_is_not_condemned_and_an_overconfident_one_is(n: int) -> None:
    """Of few texts the calibration error is large by chance alone."""
    rng = np.random.default_rng(n)
    margin = rng.normal(0, 2, n)
    labels = (rng.random(n) < 1 / (1 + np.exp(-margin))).astype(np.int64)
    calibrated, overconfident = evaluation_at(margin, labels), evaluation_at(4 * margin, labels)
    assert calibrated.scores["ece"].value <= calibrated.ece_if_calibrated
    said = verdict(calibrated, [])
    assert "not to be taken at their word" not in said
    assert ("these texts are too few to vouch" in said) == (n < 2000)
    assert "it is too sure of itself" in verdict(overconfident, [])
    if n > 60:
        assert "it is not sure enough of itself" in verdict(evaluation_at(margin / 4, labels), [])


def test_mcnemar_by_hand() -> None:
    """Nine texts only the first answers rightly, two only the second: 2 (1 + 11 + 55) / 2^11."""
    labels = np.ones(20, dtype=np.int64)
    first, second = np.full(20, 0.9), np.full(20, 0.9)
    second[:9], first[9:11] = 0.1, 0.1
    test = McNemar.of(Answers(labels, first), Answers(labels, second))
    assert test == McNemar(9, 2, 2 * 67 / 2048)
    assert McNemar.of(Answers(labels, first), Answers(labels, first)).p == 1
    many = Answers(np.ones(9000, dtype=np.int64), np.full(9000, 0.9))
    none = Answers(many.labels, 1 - many.p_positive)
    assert McNemar.of(many, none).p < 1e-300


def test_a_comparison_is_of_pairs() -> None:
    answers = some_answers(400)
    worse = Answers(answers.labels, np.where(np.arange(400) < 40, 1 - answers.p_positive, answers.p_positive))
    comparison = Comparison.of("another", answers, worse)
    assert comparison.difference.value == pytest.approx(answers.right.mean() - worse.right.mean())
    assert comparison.scores["accuracy"].value == worse.right.mean()
    assert comparison.test.only_first + comparison.test.only_second == 40
    # Ninety in a hundred answers are the same, so the difference is far surer than either accuracy.
    assert comparison.difference.high - comparison.difference.low < 0.075


def test_few_texts_leave_doubt() -> None:
    """Where resamples all agree, and where the bootstrap's intervals are too narrow."""
    answers = some_answers(20)
    same = Comparison.of("itself", answers, answers).difference
    assert same.low < same.value == 0 < same.high
    five = Answers(np.array([0, 1, 0, 1, 1]), np.array([0.1, 0.9, 0.1, 0.9, 0.9]))
    all_wrong = Comparison.of("its opposite", five, Answers(five.labels, 1 - five.p_positive)).difference
    assert 0 < all_wrong.low < 0.6
    assert all_wrong.value == all_wrong.high == 1


def test_few_texts_of_a_label_are_said(run: sentilora.Run, reviews: LabelledTexts) -> None:
    rows = [*np.flatnonzero(reviews.labels == 0)[:40], *np.flatnonzero(reviews.labels == 1)[:5]]
    few = reviews.take(np.array(rows))
    evaluation = evaluate(run.classifier, few)
    assert evaluation.caution is not None
    assert evaluation.caution.startswith("only 5 of the texts are positive")
    assert evaluation.caution in run.classifier.notes
    assert evaluation.caution in report_page("mine", few, evaluation)


def test_slices_by_length_are_quarters() -> None:
    lengths = [3] * 50 + list(range(10, 60))
    encoded = [EncodedText([1], length, 0, False) for length in lengths]
    slices = slices_by_length(encoded, some_answers(100))
    assert [part.name for part in slices] == ["up to 3", "4 to 34", "35 to 59"]
    assert [part.metrics.n for part in slices] == [50, 25, 25]
    assert slices[0].accuracy.value == some_answers(100).right[:50].mean()


def test_rare_values_make_one_slice() -> None:
    slices = slices_by("shop", ["a"] * 60 + ["b"] * 37 + ["c", "d", "d"], some_answers(100))
    assert [(part.name, part.metrics.n) for part in slices] == [("a", 60), ("b", 37), ("2 other values", 3)]


def test_rows_without_a_group_make_one_slice_and_are_kept_so(tmp_path: Path) -> None:
    path, kept = tmp_path / "shops.jsonl", tmp_path / "kept.parquet"
    shops = ["a", "b", None, " "] * 5
    path.write_text(
        "".join(
            json.dumps({"text": f"t{row}", "label": row % 2, "shop": shop}) + "\n" for row, shop in enumerate(shops)
        )
    )
    data = read_labelled(str(path), Columns(group="shop"))
    assert len(set(data.groups)) == 12  # each of the ten belongs with no other
    slices = slices_by("shop", data.groups, some_answers(20))
    assert [(part.name, part.metrics.n) for part in slices] == [("a", 5), ("b", 5), ("(no value)", 10)]
    write_labelled(data, kept, "shop")
    again = read_labelled(str(kept), Columns(group="shop"))
    assert slices_by("shop", again.groups, some_answers(20)) == slices


def test_baselines_learn_from_the_bundled_reviews() -> None:
    measured = read_labelled("bundled:test")
    training = subset(read_labelled("bundled"), 800, seed=0)
    for name, answers in baselines(training, measured).items():
        assert answers.right.mean() > 0.65, name
        assert Measurement(answers).scores()["roc_auc"] > 0.75, name


def test_what_is_measured_is_not_trained_on() -> None:
    training = labelled(["good", "bad", "fine", "poor"], [1, 0, 1, 0], "training")
    left = unmeasured(training, labelled(["good", "poor"], [1, 0], "measured"))
    assert left.texts == ["bad", "fine"]
    assert "2 rows dropped: measured too" in left.describe()
    with pytest.raises(DataError, match="too little for a baseline"):
        baselines(labelled(["good", "bad"], [1, 0], "two words"), training)


@pytest.fixture(scope="module")
def shops_csv(tmp_path_factory: pytest.TempPathFactory, reviews: LabelledTexts) -> Path:
    """Reviews with a column to slice by; one has markup, which a careless report would run."""
    path = tmp_path_factory.mktemp("shops") / "shops.csv"
    texts = [f"<script>alert({row})</script> <b>{reviews.texts[-row]}</b>" for row in range(1, 81)]
    labels = [int(reviews.labels[-row]) for row in range(1, 81)]
    pa.csv.write_csv(pa.table({"text": texts, "label": labels, "shop": ["north", "<i>south</i>"] * 40}), path)
    return path


def test_mistakes_are_named_by_their_row_in_the_file(
    run: sentilora.Run, tmp_path: Path, reviews: LabelledTexts
) -> None:
    """Rows that were dropped count, as an editor counts them."""
    rows = [("", 0), *((text, 1 - label) for text, label in zip(reviews.texts[:40], reviews.labels[:40].tolist()))]
    path = tmp_path / "some.csv"
    pa.csv.write_csv(pa.table({"text": [text for text, _ in rows], "label": [label for _, label in rows]}), path)
    mistakes = evaluate(run.classifier, read_labelled(str(path))).mistakes
    assert mistakes
    assert all(rows[mistake.row - 1][0] == mistake.text for mistake in mistakes)


def test_the_report_needs_nothing_else_and_runs_nothing(run: sentilora.Run, shops_csv: Path) -> None:
    data = read_labelled(str(shops_csv), Columns(group="shop"))
    evaluation = evaluate(run.classifier, data, by="shop")
    page = report_page(
        "<u>mine</u>", data, evaluation, [Comparison.of("<s>other</s>", evaluation.answers, evaluation.answers)]
    )
    assert evaluation.mistakes
    assert [part.name for part in evaluation.slices if part.by == "shop"] == ["north", "<i>south</i>"]
    for markup in ("<script", "<i>south", "<u>mine", "<s>other", "<link", "<img", "<iframe", "@import"):
        assert markup not in page
    for shown in ("&lt;script&gt;alert(", "&lt;i&gt;south", "&lt;u&gt;mine", "&lt;s&gt;other"):
        assert shown in page
    loaded = re.findall(r"""(?:\b(?:src|href|action|data)\s*=\s*["']|url\(\s*["']?)([^"')]+)""", page)
    assert loaded
    assert all(target.startswith("#") for target in loaded)
    assert page.count("<svg") == 4
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert all(target[1:] in ids for target in loaded)
    assert len(set(ids)) == len(ids)


Command = Callable[..., tuple[str, str]]


@pytest.fixture
def command(capsys: pytest.CaptureFixture[str]) -> Command:
    """The command line in this process, which has PyTorch loaded already: what it prints, and what it says."""

    def run_it(*arguments: object) -> tuple[str, str]:
        capsys.readouterr()
        cli.main([str(argument) for argument in arguments], standalone_mode=False)
        return tuple(capsys.readouterr())

    return run_it


def test_evaluate_slices_compares_and_reports(
    run: sentilora.Run, shops_csv: Path, tmp_path: Path, command: Command
) -> None:
    report = tmp_path / "report.html"
    asked = ("evaluate", run.folder, "--data", shops_csv, "--by", "shop", "--against", run.adapter, "--report", report)
    with pytest.raises(DataError, match="no file at"):
        command(*asked, "--baseline", "none.csv")
    assert not report.exists()
    summary = json.loads(command(*asked, "--baseline", run.config.data, "--json")[0])
    assert summary["n"] == 80
    for name in MEASURES:
        low, high = summary["intervals"][name]
        assert -1 <= low <= high
    assert [part["n"] for part in summary["slices"] if part["by"] == "shop"] == [40, 40]
    assert sum(part["n"] for part in summary["slices"] if part["by"] == "tokens") == 80
    itself, *words = summary["comparisons"]
    assert (itself["difference"]["value"], itself["test"]["p"]) == (0, 1)
    assert [other["name"] for other in words] == ["TF-IDF + logistic regression", "NB-SVM"]
    assert summary["mistakes"][0]["confidence"] >= summary["mistakes"][-1]["confidence"] > 0.5
    assert "The model answers" in report.read_text("utf-8")


def test_evaluate_prints_tables_that_fit(run: sentilora.Run, shops_csv: Path, command: Command) -> None:
    wanted = max(point.precision for point in run.classifier.abstention)
    asked = ("evaluate", run.folder, "--data", shops_csv, "--by", "shop", "--against", run.adapter)
    printed, said = command(*asked, "--precision", wanted)
    assert "answering from a confidence of" in said
    for shown in ("ROC-AUC", "log-loss", "95% interval", "called positive", "tokens: up to", "shop: <i>south</i>"):
        assert shown in printed
    for shown in ("answered from a confidence", "McNemar", "most confident mistakes"):
        assert shown in printed
    assert max(map(len, printed.splitlines()[3:])) <= 80


def test_a_runs_own_texts_flatter_it_which_is_said_once(
    run: sentilora.Run, shops_csv: Path, tmp_path: Path, command: Command
) -> None:
    report = tmp_path / "report.html"
    flattered = "on which its epoch, temperature and threshold were chosen"
    printed, said = command("evaluate", run.folder, "--json", "--report", report)
    assert said.count(flattered) == 1
    assert [flattered in note for note in json.loads(printed)["notes"]].count(True) == 1
    assert report.read_text("utf-8").count(flattered) == 1
    printed, said = command("evaluate", run.folder, "--data", shops_csv, "--json", "--report", report)
    assert flattered not in printed + said + report.read_text("utf-8")
    assert "are flattered" in (run.folder / "report.html").read_text("utf-8")


def test_what_chance_makes_of_the_calibration_error_is_shown(
    run: sentilora.Run, shops_csv: Path, tmp_path: Path, command: Command
) -> None:
    report = tmp_path / "report.html"
    printed, _ = command("evaluate", run.folder, "--data", shops_csv, "--json", "--report", report)
    by_chance = json.loads(printed)["ece_if_calibrated"]
    assert 0 < by_chance < 0.5
    assert f"a calibrated model would show up to {by_chance:.3f} here" in report.read_text("utf-8")
    assert f"up to {by_chance:.3f}" in command("evaluate", run.folder, "--data", shops_csv)[0]


def test_the_other_model_has_an_adapter_and_labels_of_its_own(
    run: sentilora.Run,
    shops_csv: Path,
    sure_texts: Path,
    tmp_path: Path,
    command: Command,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = ("evaluate", run.folder, "--data", shops_csv, "--json")
    stranger = shutil.copytree(run.adapter, tmp_path / "stranger")
    manifest = json.loads((stranger / "sentilora.json").read_text("utf-8"))
    (stranger / "sentilora.json").write_text(json.dumps({**manifest, "labels": ["LABEL_0", "LABEL_1"]}), "utf-8")
    with pytest.raises(ModelError, match="say so with --against-labels negative,positive"):
        command(*asked, "--against", stranger, "--labels", "negative,positive")
    printed, _ = command(*asked, "--against", stranger, "--against-labels", "positive,negative")
    (turned,) = json.loads(printed)["comparisons"]
    assert turned["scores"]["accuracy"]["value"] == pytest.approx(1 - json.loads(printed)["accuracy"])

    monkeypatch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.2)
    two = export(
        [run.folder, shutil.copytree(run.adapter, tmp_path / "other")], tmp_path / "two", unlabelled=sure_texts
    ).folder
    with pytest.raises(ModelError, match="name one of other, tiny"):
        command(*asked, "--against", two)
    (compared,) = json.loads(command(*asked, "--against", two, "--against-adapter", "other")[0])["comparisons"]
    assert abs(compared["difference"]["value"]) < 0.2
    with pytest.raises(UserError, match="--against names"):
        command(*asked, "--against-adapter", "other")


def test_files_and_frames_are_read_where_data_are_wanted(run: sentilora.Run, reviews_csv: Path) -> None:
    table = read_labelled(str(reviews_csv))
    frame = pd.DataFrame({"text": table.texts, "label": table.labels})
    expected = evaluate(run.classifier, table).scores["accuracy"]
    for data in (str(reviews_csv), reviews_csv, frame):
        assert evaluate(run.classifier, data).scores["accuracy"] == expected
        assert sentilora.audit(data, against=data).texts == len(table)
        assert len(sentilora.suggest(data, 3, labelled=frame.head(2)).chosen) == 3
    with pytest.raises(TypeError, match=r"a classifier is expected, not a str: Classifier\.load"):
        evaluate("runs/mine", table)  # type: ignore[arg-type]


def test_a_model_that_knows_one_answer_is_told_of(run: sentilora.Run, reviews: LabelledTexts, tmp_path: Path) -> None:
    classifier = sentilora.Classifier.load(run.folder)
    model = classifier.predictor.model
    with torch.no_grad():
        model.base_model.model.classifier.modules_to_save["default"].bias[1] += 1000
    evaluate(classifier, subset(reviews, 40, 0))
    assert any("every text is called positive, which is right for 50.0%" in note for note in classifier.notes)


def test_a_base_that_moved_is_that_of_both(
    run: sentilora.Run, tiny_base: Path, shops_csv: Path, tmp_path: Path, command: Command
) -> None:
    moved = shutil.copytree(run.adapter, tmp_path / "moved")
    manifest = json.loads((moved / "sentilora.json").read_text("utf-8"))
    manifest["base"]["id"] = str(tmp_path / "gone")
    (moved / "sentilora.json").write_text(json.dumps(manifest), "utf-8")
    asked = ("evaluate", run.folder, "--data", shops_csv, "--against", moved, "--json")
    with pytest.raises(ModelError, match=r"no longer at .*gone: name it with --base"):
        command(*asked)
    merge(run.folder, tmp_path / "merged")
    for one, other in ((run.folder, moved), (run.folder, tmp_path / "merged"), (tmp_path / "merged", moved)):
        asked = ("evaluate", one, "--data", shops_csv, "--against", other, "--json", "--base", tiny_base)
        (compared,) = json.loads(command(*asked)[0])["comparisons"]
        assert abs(compared["difference"]["value"]) < 0.02


def test_precision_makes_predict_say_uncertain(run: sentilora.Run, command: Command) -> None:
    texts = [f"film number {number}" for number in range(20)]
    best = max(point.precision for point in run.classifier.abstention)
    printed, said = command("predict", "--model", run.folder, "--precision", best, *texts)
    assert "on the validation texts was right for" in said
    careful = sentilora.Classifier.load(run.folder, precision=best)
    labels = [json.loads(line)["label"] for line in printed.splitlines()]
    assert labels == [answer.label for answer in careful(texts)]


def test_a_precision_out_of_reach_is_one_line(run: sentilora.Run) -> None:
    refused = sentilora_command("evaluate", run.folder, "--precision", 1.2)
    assert refused.returncode == 2
    assert refused.stderr.splitlines()[-1].startswith("error: a precision of 1.2 is none")


def test_what_is_not_installed_is_named_before_the_work_begins(
    run: sentilora.Run, tmp_path: Path, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in [name for name in sys.modules if name.startswith("sentilora.reporting")]:
        monkeypatch.delitem(sys.modules, module)
    for module in ("jinja2", "sklearn"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=r"jinja2 is not installed: run pip install 'sentilora\[report\]'"):
        command("evaluate", run.folder, "--report", tmp_path / "report.html")
    with pytest.raises(MissingExtraError, match=r"scikit-learn is not installed"):
        command("evaluate", run.folder, "--baseline", "bundled")
    assert "accuracy" in command("evaluate", run.folder)[0]


def test_a_column_that_is_not_there_is_named(run: sentilora.Run, shops_csv: Path, command: Command) -> None:
    with pytest.raises(DataError, match="has no column 'country': it has text, label, shop"):
        command("evaluate", run.folder, "--data", shops_csv, "--by", "country")


def test_the_bundled_reviews_have_domains() -> None:
    groups = read_labelled("bundled:test", Columns(group="domain")).groups
    assert {"films", "products"} <= set(groups)
    with pytest.raises(DataError, match="no columns to choose"):
        read_labelled("bundled:test", Columns(text="text", group="domain"))
