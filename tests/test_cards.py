"""What a model card says is true, and the Hub can read it."""

from __future__ import annotations

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
from huggingface_hub import ModelCard
from hypothesis import given, settings
from hypothesis import strategies as st

import sentilora
from sentilora.artifacts import BaseReference, Manifest, Training, open_model, read_manifest
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
    text, training = card_of(run.adapter).text, training_of(run.folder)
    record = run.record
    for said in (record.split, record.encoding, "96 texts", "24 texts", "reviews.csv"):
        assert said.replace("[", "\\[").replace("]", "\\]") in text.replace("\\_", "_"), said
    assert f"temperature is {record.calibration.temperature:.4g}" in text
    for figures in (record.calibration.before, record.calibration.after):
        assert f"{figures['ece']:.4f}" in text
    shown = yaml.safe_load(re.search(r"```yaml\n(.*?)```", text, re.S)[1])
    assert load_config(overrides=shown) == run.config
    assert training.command in text
    assert training.python in text
    assert f"torch {record.versions['torch']}" in text
    assert "English" not in text
    assert not FETCHED.search(text)


def test_merged_models_and_bundles_keep_the_training(run: sentilora.Run, bundle: Path, tmp_path: Path) -> None:
    merged = tmp_path / "saved model"
    merge(run.folder, merged)
    for folder, library, place in ((merged, "transformers", "weights"), (bundle, "onnx", "weights")):
        card = card_of(folder)
        assert training_of(folder) == training_of(run.folder)
        assert card.data.library_name == library
        assert len(card.data.eval_results) == len(training_of(run.folder).scores)
        assert f"{place} of the classifier layer hold it" in card.text
        assert training_of(run.folder).command in card.text
    assert f"sentilora merge {shlex.quote(str(run.folder))} --output '{merged}'" in card_of(merged).text
    assert "its logits differ by at most" in card_of(merged).text
    assert f"--output {bundle} --unlabelled" in card_of(bundle).text
    assert "other texts change their label" in card_of(bundle).text


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
    assert len(card.data.eval_results) == 2 * len(training_of(run.folder).scores)
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


@settings(deadline=None)
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


@settings(deadline=None)
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
