"""What a model card says is true, and the Hub can read it."""

from __future__ import annotations

import csv
import importlib
import re
import shlex
import shutil
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from click.testing import CliRunner
from huggingface_hub import ModelCard
from hypothesis import given
from hypothesis import strategies as st

import sentilora
from sentilora.artifacts import BaseReference, Manifest, Training, open_model, read_manifest
from sentilora.cli.app import cli
from sentilora.cli.options import nested
from sentilora.cli.train import train as train_command
from sentilora.config import LoraSettings, TrainConfig, load_config
from sentilora.export import export
from sentilora.modeling.merging import merge
from sentilora.reporting.cards import Making, adapter_card, bundle_card
from sentilora.tables import FROM_PYTHON
from sentilora.training.calls import python_call, shell_command

FETCHED = re.compile(r"!\[|<img|<script|<a ")


def card_of(folder: Path) -> ModelCard:
    """The card as the Hub's own library reads it."""
    return ModelCard((folder / "README.md").read_text("utf-8"))


def training_of(folder: Path) -> Training:
    training = open_model(folder).manifest.training
    assert training is not None
    return training


def test_the_hub_reads_the_figures_of_a_run(run: sentilora.Run) -> None:
    card, training = card_of(run.adapter), training_of(run.folder)
    results = {result.metric_type: result for result in card.data.eval_results}
    assert results["accuracy"].metric_value == pytest.approx(run.record.scores["accuracy"], abs=1e-4)
    assert results["ece"].metric_value == pytest.approx(run.record.calibration.after["ece"], abs=1e-4)
    assert "95% interval" in results["matthews_correlation"].metric_name
    for name, score in training.scores.items():
        assert score.low <= score.high, name
    assert card.data.library_name == "peft"
    assert card.data.pipeline_tag == "text-classification"
    assert {"sentiment-analysis", "lora"} <= set(card.data.tags)
    assert card.data.base_model is None  # it is a folder of ours, which the Hub has not
    assert card.data.language is None  # nobody said what language reviews.csv is in
    assert card.data.datasets is None


def test_a_card_says_how_the_model_came_to_be(run: sentilora.Run) -> None:
    text, record = card_of(run.adapter).text, run.record
    for said in (record.split, record.encoding, "96 texts", "24 texts", "reviews.csv"):
        assert said.replace("[", "\\[").replace("]", "\\]") in text.replace("\\_", "_"), said
    assert f"temperature is {record.calibration.temperature:.4g}" in text
    for figures in (record.calibration.before, record.calibration.after):
        assert f"{figures['ece']:.4f}" in text
    shown = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1])
    named = msgspec.structs.replace(run.config, base=Path(run.config.base).name, data=Path(run.config.data).name)
    assert load_config(overrides=shown) == named
    assert shell_command(named, Path(run.folder.name)) in text
    assert python_call(named, Path(run.folder.name)) in text
    assert f"torch {record.versions['torch']}" in text
    assert "English" not in text
    assert not FETCHED.search(text)


def test_merged_models_and_bundles_keep_the_training(run: sentilora.Run, bundle: Path, tmp_path: Path) -> None:
    merged = tmp_path / "saved model"
    merge(run.folder, merged)
    for folder, library, own in ((merged, "transformers", 0), (bundle, "onnx", 1)):
        card = card_of(folder)
        assert training_of(folder) == training_of(run.folder)
        assert card.data.library_name == library
        assert len(card.data.eval_results) == own + len(training_of(run.folder).scores)
        assert "weights of the classifier layer hold it" in card.text
        assert "sentilora train --base" in card.text
    assert f"sentilora merge {run.folder.name} --output 'saved model'" in card_of(merged).text
    assert "its logits differ by at most" in card_of(merged).text
    assert f"--output {bundle.name} --unlabelled" in card_of(bundle).text
    assert "other texts change their label" in card_of(bundle).text


def test_a_bundles_own_figures_are_told_from_those_in_fp32(run: sentilora.Run, bundle: Path) -> None:
    card, made = card_of(bundle), open_model(bundle).manifest
    own, *in_fp32 = card.data.eval_results
    assert own.metric_name.startswith(f"accuracy of this bundle, in {made.quantisation}")
    assert own.metric_value == pytest.approx(made.gate["accuracy"], abs=1e-4)
    assert own.metric_args["low"] < own.metric_value < own.metric_args["high"]
    for result in in_fp32:
        assert "in fp32, before quantisation (95% interval" in result.metric_name
    good = card.text[card.text.index("## How good it is") : card.text.index("| measure |")]
    assert f"{made.gate['accuracy']:.4f} (fp32 {made.gate['accuracy_fp32']:.4f})" in good
    assert "All other figures here were measured in fp32" in good
    assert "fp32" not in card_of(run.adapter).text.split("## How good it is")[1].split("##")[0]


def test_no_card_tells_of_folders_of_this_machine(run: sentilora.Run, bundle: Path, tmp_path: Path) -> None:
    assert str(Path(run.config.data).parent) in training_of(run.folder).command
    merge(run.folder, tmp_path / "merged")
    places = [run.folder, bundle, tmp_path, Path(run.config.data), Path(run.config.base)]
    for folder in (run.adapter, bundle, tmp_path / "merged"):
        card = (folder / "README.md").read_text("utf-8").replace("\\", "")
        for place in places:
            assert f"{place.parent}/" not in card, folder


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("/home/me/some data/a.csv", "a.csv"),
        ("/a.csv", "/a.csv"),
        ("data/a.csv", "data/a.csv"),
        ("owner/name:train", "owner/name:train"),
        ("https://a.example/home/me/a.csv", "https://a.example/home/me/a.csv"),
    ],
)
def test_of_absolute_paths_the_last_part_is_told(run: sentilora.Run, written: str, shown: str) -> None:
    config = msgspec.structs.replace(run.config, data=written)
    training = msgspec.structs.replace(
        training_of(run.folder),
        texts=f"5 texts from {written}",
        python=python_call(config, Path("/home/me/runs/mine")),
        command=shell_command(config, Path("/home/me/runs/mine")),
        settings=msgspec.to_builtins(config),
    )
    card = adapter_card(manifest(BaseReference(id="embedded", sha256="0"), training))
    assert f"5 texts from {shown}" in card.replace("\\", "")
    assert re.search(f"--data '?{re.escape(shown)}", card)
    assert "--output mine" in card
    assert ("/home/me" in card) == ("/home/me" in shown)


def test_a_bundle_of_several_tells_them_apart(
    run: sentilora.Run, sure_texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sentilora.export.gate.ACCURACY_CHANGED", 0.2)
    shutil.copytree(run.adapter, tmp_path / "other")
    made = export([run.folder, tmp_path / "other"], tmp_path / "two", unlabelled=sure_texts).folder
    card = card_of(made)
    assert card.text.count("## How good it is") == 2
    assert "\n# tiny\n" in card.text
    assert "\n# other\n" in card.text
    assert "\n## Licence\n" in card.text
    assert card.text.count("Measured on this bundle") == 2
    assert len(card.data.eval_results) == 2 * (1 + len(training_of(run.folder).scores))
    assert read_manifest(made / "adapters" / "other").training == training_of(run.folder)


def manifest(base: BaseReference, training: Training, **changes: Any) -> Manifest:
    common = {"kind": "adapter", "labels": ("negative", "positive"), "max_length": 64, "truncation": "head"}
    return Manifest(base=base, training=training, **{**common, **changes})


@pytest.mark.parametrize(
    ("base", "data", "on_hub", "datasets", "language"),
    [
        (BaseReference(id="embedded", sha256="0"), "bundled", "sentence-transformers/all-MiniLM-L6-v2", None, ["en"]),
        (
            BaseReference(id="distilbert-base-uncased", sha256="0", revision="abc"),
            "imdb",
            "distilbert-base-uncased",
            ["stanfordnlp/imdb"],
            ["en"],
        ),
        (BaseReference(id="/home/me/base", sha256="0"), "me/set/part:train", None, ["me/set"], None),
        (
            BaseReference(id="embedded", sha256="0"),
            "data/reviews.csv",
            "sentence-transformers/all-MiniLM-L6-v2",
            None,
            None,
        ),
        (BaseReference(id="/home/me/base", sha256="0"), "data/reviews.ndjson", None, None, None),
        (BaseReference(id="/home/me/base", sha256="0"), "../aclImdb", None, None, None),
    ],
)
def test_only_what_is_known_is_claimed(
    run: sentilora.Run, base: BaseReference, data: str, on_hub: Any, datasets: Any, language: Any
) -> None:
    training = msgspec.structs.replace(training_of(run.folder), data=data)
    card = ModelCard(adapter_card(manifest(base, training)))
    assert (card.data.base_model, card.data.datasets, card.data.language) == (on_hub, datasets, language)
    assert ("English" in card.text) == (language is not None)
    assert ("Apache-2.0" in card.text) == (on_hub is not None)
    assert card.data.license == ("unknown" if on_hub is None else "apache-2.0")
    assert "/home/me" not in card.text


def test_what_is_not_known_is_not_made_up(run: sentilora.Run) -> None:
    """Of an adapter by plain PEFT, and of labels that are no sentiment."""
    stranger = manifest(BaseReference(id="embedded", sha256="0"), None, labels=("bad", "fair", "good"))
    card = ModelCard(adapter_card(stranger))
    assert "Nothing is recorded of its training" in card.text
    assert "bad and fair and good" not in card.text
    assert "bad, fair and good" in card.text
    assert "no neutral" not in card.text
    assert "sentiment-analysis" not in card.data.tags
    assert card.data.eval_results is None


@given(st.text(min_size=1, max_size=40), st.text(max_size=60))
def test_odd_names_do_no_harm(name: str, data: str) -> None:
    training = Training(
        name=name,
        data=data,
        texts=f"5 texts from {data}",
        validation="",
        split="",
        encoding="",
        course="",
        settings={"data": data},
        command=shlex.join(["sentilora", data]),
        python=repr(data),
        scores={"accuracy": sentilora.artifacts.Interval(0.5, 0.4, 0.6)},
        temperature=1.0,
        uncalibrated={"ece": 0.1},
        calibrated={"ece": 0.0},
        versions={},
    )
    made = manifest(
        BaseReference(id="embedded", sha256="0"),
        training,
        kind="bundle",
        gate={"fp32_difference": 0.0, "changed": 0.0, "unlabelled": 1.0},
    )
    card = ModelCard(bundle_card(made, Making.of("export", [data], name)))
    (result,) = card.data.eval_results
    assert result.metric_value == 0.5
    title = next(line for line in card.text.splitlines() if line.startswith("# "))
    assert "<" not in title.replace("\\<", "")
    assert len(re.findall(r"^## ", card.text, re.M)) >= 8


CONFIGS = st.builds(
    TrainConfig,
    base=st.sampled_from(["embedded", "my base", "distilbert-base-uncased"]),
    data=st.sampled_from(["imdb", "it's mine.csv", "owner/name:train"]),
    validation=st.sampled_from([None, "bundled:test"]),
    label_map=st.sampled_from([None, {"1-2": "negative", "4-5": "positive"}]),
    lora=st.builds(
        LoraSettings, rank=st.integers(1, 64), target_modules=st.sampled_from([("q_lin",), ("q_lin", "lin2")])
    ),
    learning_rate=st.floats(1e-6, 1),
    best_by=st.sampled_from([None, "f1"]),
    report_to=st.sampled_from([(), ("tensorboard",)]),
    seed=st.integers(0, 2**32 - 1),
)


@given(CONFIGS)
def test_the_commands_make_the_same_configuration(config: TrainConfig) -> None:
    shell = shlex.split(shell_command(config, Path("runs/my run")))
    assert shell[:2] == ["sentilora", "train"]
    parsed = train_command.make_context("train", shell[2:]).params
    assert parsed.pop("output") == Path("runs/my run")
    assert load_config(overrides=nested(parsed, TrainConfig)) == config
    given_settings: dict[str, Any] = eval(
        python_call(config, Path("runs/my run")).replace("sentilora.train", "dict", 1), {"dict": dict}
    )
    assert given_settings.pop("output") == "runs/my run"
    assert load_config(overrides=given_settings) == config


def test_texts_from_python_have_no_shell_command() -> None:
    config = TrainConfig(data=FROM_PYTHON, base="embedded")
    assert shell_command(config, Path("runs/mine")) is None
    assert python_call(config, Path("runs/mine")) == "sentilora.train(base='embedded', data=data, output='runs/mine')"


def test_a_run_can_be_measured_by_the_groups_of_its_own_texts(tiny_base: Path, tmp_path: Path) -> None:
    films = tmp_path / "films.csv"
    reviews = sentilora.read_labelled("bundled")
    rows = zip(reviews.texts[:200], reviews.labels[:200].tolist(), range(200))
    with films.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(
            [("text", "label", "film"), *((text, label, f"film {row % 20}") for text, label, row in rows)]
        )
    run = sentilora.train(
        base=str(tiny_base),
        data=str(films),
        group_column="film",
        epochs=1,
        max_length=16,
        output=tmp_path / "run",
    )
    measured = CliRunner().invoke(cli, ["evaluate", str(run.folder), "--by", "film"])
    assert measured.exit_code == 0, measured.output
    assert re.search(r"film: film \d+ +10 ", measured.output)


def test_a_run_has_a_report(run: sentilora.Run) -> None:
    page = (run.folder / "report.html").read_text("utf-8")
    assert "tiny: validation" in page
    assert "How the training went" in page
    assert page.count("<svg") == 5
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(set(ids)) == len(ids)
    assert f"{training_of(run.folder).scores['accuracy'].value:.3f}" in page


def test_without_the_extra_a_run_says_that_it_has_no_report(
    tiny_base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "sentilora.reporting.page", raising=False)
    importlib.import_module("jinja2")  # PEFT wants it too
    monkeypatch.setitem(sys.modules, "markupsafe", None)
    run = sentilora.train(
        base=str(tiny_base),
        data="bundled",
        limit=16,
        validation_limit=16,
        epochs=1,
        max_length=16,
        output=tmp_path / "r",
    )
    assert not (run.folder / "report.html").exists()
    (note,) = [note for note in run.record.notes if "report.html" in note]
    assert "markupsafe is not installed; run pip install 'sentilora[report]'" in note
    assert (run.adapter / "README.md").is_file()
