"""Saving, reloading, merging; and the plain tools that must be able to read what we write."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import torch
from peft import (
    AutoPeftModelForSequenceClassification,
    LoraConfig,
    PeftModel,
    PromptTuningConfig,
    get_peft_model,
)
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForSequenceClassification, pipeline

import sentilora
from conftest import make_base
from sentilora.artifacts import open_model, write_manifest
from sentilora.errors import ConfigError, DataError, ModelError, OutputError, ParityError
from sentilora.export import export
from sentilora.modeling.base import find_base
from sentilora.modeling.merging import merge
from sentilora.modeling.saving import save_adapter
from sentilora.notes import Notes
from sentilora.tables import LabelledTexts

TEXTS = ["A gorgeous, moving film.", "My two hours back, please.<br />Awful.", "ok " * 300, ""]


def test_one_text_gives_one_prediction_and_a_list_gives_a_list(run: sentilora.Run) -> None:
    classifier = sentilora.Classifier.load(run.folder)
    one = classifier(TEXTS[0])
    several = classifier(TEXTS)
    assert isinstance(one, sentilora.Prediction)
    assert [prediction.text for prediction in several] == TEXTS
    assert several[0].p_positive == pytest.approx(one.p_positive, abs=1e-5)
    assert [prediction.truncated for prediction in several] == [False, False, True, False]
    assert classifier([]) == []
    for prediction in several:
        assert prediction.label == ("negative", "positive")[prediction.probabilities[1] > prediction.probabilities[0]]
        assert sum(prediction.probabilities) == pytest.approx(1)
        assert prediction.confidence == max(prediction.probabilities)
        assert prediction.p_positive == prediction.probabilities[1]


def test_a_stream_is_answered_in_order(run: sentilora.Run) -> None:
    texts = [f"film {number}" for number in range(30)]
    streamed = list(run.classifier.predict_iter(iter(texts), batch_size=7))
    assert [prediction.text for prediction in streamed] == texts


def test_plain_peft_reads_the_adapter(run: sentilora.Run) -> None:
    plain = AutoPeftModelForSequenceClassification.from_pretrained(run.adapter).eval()
    token_ids = [text.ids for text in run.classifier.encoder.encode(TEXTS[:2])]
    expected = run.classifier.predictor.logits(token_ids)
    for ids, row in zip(token_ids, expected):
        with torch.no_grad():
            assert plain(input_ids=torch.tensor([ids])).logits[0].numpy() == pytest.approx(row, abs=1e-5)


def test_plain_transformers_reads_the_merged_model(run: sentilora.Run, tmp_path: Path) -> None:
    parity = merge(run.folder, tmp_path / "merged")
    assert (parity.texts, parity.difference <= 1e-4) == (run.metrics.n, True)
    classify = pipeline("text-classification", model=str(tmp_path / "merged"), top_k=None)
    merged = sentilora.Classifier.load(tmp_path / "merged")
    for text in TEXTS[:2]:
        ours = run.classifier(text)
        plain = {entry["label"]: entry["score"] for entry in classify(text)[0]}
        assert plain["positive"] == pytest.approx(ours.p_positive, abs=1e-5)
        assert merged(text).p_positive == pytest.approx(ours.p_positive, abs=1e-5)


def test_merging_folds_the_temperature(run: sentilora.Run, tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    shutil.copytree(run.adapter, adapter)
    manifest = open_model(adapter).manifest
    (adapter / "sentilora.json").unlink()
    write_manifest(adapter, type(manifest)(**{**_fields(manifest), "temperature": 2.5}))
    merge(adapter, tmp_path / "merged")
    calibrated = sentilora.Classifier.load(adapter)(TEXTS[0]).p_positive
    assert calibrated != pytest.approx(run.classifier(TEXTS[0]).p_positive, abs=1e-6)
    assert pipeline("text-classification", model=str(tmp_path / "merged"), top_k=None)(TEXTS[0])[0][0]["score"] in (
        pytest.approx(calibrated, abs=1e-5),
        pytest.approx(1 - calibrated, abs=1e-5),
    )


def _fields(manifest) -> dict[str, object]:
    return {name: getattr(manifest, name) for name in manifest.__struct_fields__}


def test_a_merged_model_is_not_merged_again(run: sentilora.Run, tmp_path: Path) -> None:
    merge(run.folder, tmp_path / "merged")
    with pytest.raises(ModelError, match="standalone model already"):
        merge(tmp_path / "merged", tmp_path / "again")


def test_a_run_is_not_merged_into_itself(run: sentilora.Run, tmp_path: Path) -> None:
    copy = shutil.copytree(run.folder, tmp_path / "run")
    for target in (copy, copy / "adapter"):
        with pytest.raises(OutputError, match="which is needed: choose another place"):
            merge(copy, target, overwrite=True)
    assert sentilora.Classifier.load(copy)


def test_nothing_that_is_read_is_replaced(run: sentilora.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A base that was pretrained is a folder of ours, which --overwrite may replace."""
    base = tmp_path / "base"
    texts = ["a " + "very " * number + "fine film" for number in range(30)]
    sentilora.pretrain(texts, base=run.config.base, max_steps=1, output=base)
    settings = {"base": str(base), "data": run.config.data, "epochs": 1, "max_length": 32}
    monkeypatch.setenv("HOME", str(tmp_path))
    trained = sentilora.train(output=tmp_path / "run", **settings).folder
    for call in (
        lambda: merge(trained, base, overwrite=True),
        lambda: export([trained], base, overwrite=True),
        lambda: export([trained], trained, overwrite=True),
        lambda: sentilora.train(output=base, overwrite=True, **settings),
        lambda: sentilora.train(
            output=trained, overwrite=True, **{**settings, "data": str(trained / "validation.parquet")}
        ),
        lambda: sentilora.train(output=trained, overwrite=True, **{**settings, "data": "~/run/validation.parquet"}),
        lambda: sentilora.pretrain(texts, base=str(base), output=base, overwrite=True),
    ):
        with pytest.raises(OutputError, match="which is needed: choose another place"):
            call()
    assert sentilora.Classifier.load(trained)
    base.rename(tmp_path / "moved")
    with pytest.raises(ModelError, match=r"the base of .* is no longer at .*: name it with --base"):
        sentilora.Classifier.load(trained)


def test_what_does_not_apply_is_not_passed_over(run: sentilora.Run, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"--adapter other: .* is no bundle"):
        sentilora.Classifier.load(run.folder, adapter="other")
    merge(run.folder, tmp_path / "merged")
    with pytest.raises(ConfigError, match=r"--base embedded: .* is no adapter"):
        sentilora.Classifier.load(tmp_path / "merged", base="embedded")
    with pytest.raises(ConfigError, match="--device gpu: choose auto, cpu"):
        sentilora.Classifier.load(run.folder, device="gpu")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="each letter of one"):
        run.classifier.predict("Great film")
    with pytest.raises(TypeError, match="each letter of one"):
        next(run.classifier.predict_iter("Great film"))
    with pytest.raises(ConfigError, match="batch_size=0"):
        list(run.classifier.predict_iter(["a"], batch_size=0))
    for names in (["uncertain", "good"], ["", "good"], ["good", "good"]):
        with pytest.raises(ModelError, match="2 different names"):
            sentilora.Classifier.load(run.folder, labels=names)


@pytest.mark.parametrize(
    "texts", [pd.DataFrame({"text": ["a"]}), {"text": "a"}, {"a", "b"}, pa.table({"text": ["a"]}), b"abc", 5, None]
)
def test_what_is_no_list_of_texts_is_refused(run: sentilora.Run, texts: Any) -> None:
    with pytest.raises(TypeError, match="expected"):
        run.classifier(texts)


def test_columns_of_tables_are_answered(run: sentilora.Run) -> None:
    expected = [answer.p_positive for answer in run.classifier(TEXTS)]
    for texts in (pd.Series(TEXTS), pa.array(TEXTS), pa.table({"t": TEXTS})["t"], np.array(TEXTS), tuple(TEXTS)):
        assert [answer.p_positive for answer in run.classifier(texts)] == expected


@pytest.mark.parametrize(
    ("text", "saying"),
    [
        ("cut \ud83d", r"begins 'cut \\ud83d' holds half of a character"),
        (None, "None is no text, but a NoneType"),
        (b"bytes", "is no text, but a bytes"),
        (("good", "film"), "is no text, but a tuple"),
        ("x" * 1_000_001, r"begins 'xxx.*1,000,001 characters"),
    ],
)
def test_what_is_no_text_is_one_line(run: sentilora.Run, text: Any, saying: str) -> None:
    with pytest.raises(DataError, match=saying):
        run.classifier(["fine", text])


@pytest.mark.parametrize(
    "settings", [{"problem_type": "multi_label_classification", "num_labels": 3}, {"num_labels": 1}]
)
def test_heads_that_are_no_classifiers_are_refused(tiny_base: Path, tmp_path: Path, settings: dict[str, Any]) -> None:
    AutoModelForSequenceClassification.from_pretrained(tiny_base, **settings).save_pretrained(tmp_path / "m")
    shutil.copy(tiny_base / "tokenizer.json", tmp_path / "m")
    with pytest.raises(ModelError, match="is no classifier whose labels exclude one another"):
        sentilora.Classifier.load(tmp_path / "m")


def test_labels_of_one_name_are_not_taken(tiny_base: Path, tmp_path: Path) -> None:
    model = AutoModelForSequenceClassification.from_pretrained(tiny_base, id2label={0: "a", 1: "a"}, label2id={"a": 0})
    model.save_pretrained(tmp_path / "m")
    shutil.copy(tiny_base / "tokenizer.json", tmp_path / "m")
    assert sentilora.Classifier.load(tmp_path / "m").labels.names == ("LABEL_0", "LABEL_1")


def test_adapters_that_cannot_be_folded_are_one_line(run: sentilora.Run, tiny_base: Path, tmp_path: Path) -> None:
    config = PromptTuningConfig(
        task_type="SEQ_CLS", num_virtual_tokens=4, token_dim=32, num_layers=2, num_attention_heads=4
    )
    get_peft_model(AutoModelForSequenceClassification.from_pretrained(tiny_base), config).save_pretrained(
        tmp_path / "p"
    )
    with pytest.raises(ModelError, match="of the kind PROMPT_TUNING, which cannot be folded"):
        merge(tmp_path / "p", tmp_path / "merged")
    broken = shutil.copytree(run.adapter, tmp_path / "broken")
    (broken / "sentilora.json").unlink()
    tensors = load_file(broken / "adapter_model.safetensors")
    name = next(name for name in tensors if "lora_B" in name)
    save_file(
        {**tensors, name: tensors[name] * np.float32("nan")}, broken / "adapter_model.safetensors", {"format": "pt"}
    )
    with pytest.raises(ModelError, match="cannot be folded into its base: NaNs"):
        merge(broken, tmp_path / "merged")


def test_a_tokenizer_that_begins_no_text_is_refused(tiny_base: Path, tmp_path: Path, reviews_csv: Path) -> None:
    base = shutil.copytree(tiny_base, tmp_path / "base")
    tokenizer = json.loads((base / "tokenizer.json").read_text("utf-8"))
    (base / "tokenizer.json").write_text(json.dumps({**tokenizer, "post_processor": None}), "utf-8")
    with pytest.raises(ModelError, match=r"adds no \[CLS\]"):
        sentilora.train(base=str(base), data=str(reviews_csv), output=tmp_path / "run")


def test_a_generator_of_texts_is_answered(run: sentilora.Run) -> None:
    assert len(run.classifier(text for text in TEXTS)) == len(TEXTS)
    assert len(run.classifier(np.array(TEXTS))) == len(TEXTS)


def test_a_broken_weights_file_is_one_line(run: sentilora.Run, tmp_path: Path) -> None:
    shutil.copytree(run.adapter, tmp_path / "adapter")
    (tmp_path / "adapter" / "sentilora.json").unlink()
    (tmp_path / "adapter" / "adapter_model.safetensors").write_text("version https://git-lfs...", "utf-8")
    with pytest.raises(ModelError, match="is not a safetensors file"):
        sentilora.Classifier.load(tmp_path / "adapter")


@pytest.mark.parametrize("lost", ["pre_classifier", "classifier"])
def test_half_a_head_is_no_head(run: sentilora.Run, tmp_path: Path, lost: str) -> None:
    shutil.copytree(run.adapter, tmp_path / "adapter")
    (tmp_path / "adapter" / "sentilora.json").unlink()
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(weights).items() if f".{lost}." not in name}, weights)
    with pytest.raises(ModelError, match="holds no classification head"):
        sentilora.Classifier.load(tmp_path / "adapter")


def test_a_save_that_would_answer_differently_fails_and_leaves_nothing(run: sentilora.Run, tmp_path: Path) -> None:
    classifier = sentilora.Classifier.load(run.folder)
    base = find_base(run.config.base, Notes())
    manifest = open_model(run.folder).manifest
    token_ids = [text.ids for text in classifier.encoder.encode(TEXTS)]
    expected = classifier.predictor.logits(token_ids)
    for wrong in (expected + np.float32(1e-4), np.full_like(expected, np.nan)):
        with pytest.raises(ParityError, match="nothing was saved"):
            save_adapter(classifier, base, manifest, tmp_path / "adapter", token_ids, wrong)
    assert list(tmp_path.iterdir()) == []
    save_adapter(classifier, base, manifest, tmp_path / "adapter", token_ids, expected)


def test_a_head_that_is_not_saved_is_noticed(run: sentilora.Run, tmp_path: Path) -> None:
    base = find_base(run.config.base, Notes())
    model = AutoModelForSequenceClassification.from_pretrained(base.folder)
    # Without a task type and modules_to_save, PEFT leaves the head out, and a reload draws a random one.
    headless = get_peft_model(model, LoraConfig(r=4, target_modules=["q_lin"]))
    predictor = type(run.classifier.predictor)(headless, run.classifier.predictor.device, 2)
    classifier = sentilora.Classifier(predictor, run.classifier.encoder, run.classifier.labels)
    logits = predictor.logits([[2, 5, 3]])
    with pytest.raises(ParityError, match=r"without \.pre_classifier\.weight, \.classifier\.weight"):
        save_adapter(classifier, base, open_model(run.folder).manifest, tmp_path / "a", [[2, 5, 3]], logits)


def test_an_adapter_on_the_wrong_base_is_refused(run: sentilora.Run, tmp_path: Path, reviews: LabelledTexts) -> None:
    other = make_base(tmp_path / "other", reviews.texts, seed=1)
    with pytest.raises(ModelError, match="was trained on base"):
        sentilora.Classifier.load(run.folder, base=str(other))
    same = shutil.copytree(run.config.base, tmp_path / "moved")
    moved = sentilora.Classifier.load(run.folder, base=str(same))
    expected = sentilora.Classifier.load(run.folder)(TEXTS[0])
    assert moved(TEXTS[0]).p_positive == pytest.approx(expected.p_positive, abs=1e-5)


@pytest.mark.parametrize("labels", [2, 3])
def test_an_adapter_made_with_plain_peft_loads_and_says_what_was_assumed(
    tiny_base: Path, tmp_path: Path, labels: int
) -> None:
    torch.manual_seed(3)
    model = AutoModelForSequenceClassification.from_pretrained(tiny_base, num_labels=labels)
    config = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_lin", "v_lin"], init_lora_weights=False)
    strange = get_peft_model(model, config).eval()
    strange.save_pretrained(tmp_path / "strange")
    classifier = sentilora.Classifier.load(tmp_path / "strange")
    prediction = classifier(TEXTS[0])
    assert prediction.label in [f"LABEL_{index}" for index in range(labels)]
    assert prediction.p_positive is None
    ids = torch.tensor([classifier.encoder.encode([TEXTS[0]])[0].ids])
    with torch.no_grad():
        assert strange(input_ids=ids).logits.softmax(-1)[0].tolist() == pytest.approx(
            prediction.probabilities, abs=1e-5
        )
    notes = " ".join(classifier.notes)
    for assumed in ("max length 512", "truncation head", "tokenizer", "LABEL_0"):
        assert assumed in notes
    if labels == 2:
        named = sentilora.Classifier.load(tmp_path / "strange", labels=["negative", "positive"])
        assert named(TEXTS[0]).p_positive == pytest.approx(prediction.probabilities[1], abs=1e-5)
    with pytest.raises(ModelError, match="--labels"):
        sentilora.Classifier.load(tmp_path / "strange", labels=["only one"])
    merge(tmp_path / "strange", tmp_path / "merged")
    assert sentilora.Classifier.load(tmp_path / "merged")(TEXTS[0]).label == prediction.label


def test_labels_named_by_a_strangers_config_are_taken(tiny_base: Path, tmp_path: Path) -> None:
    names = {0: "ham", 1: "spam"}
    model = AutoModelForSequenceClassification.from_pretrained(
        tiny_base, id2label=names, label2id={"ham": 0, "spam": 1}
    )
    adapted = get_peft_model(model, LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_lin"]))
    adapted.save_pretrained(tmp_path / "strange")
    model.config.save_pretrained(tmp_path / "strange")
    prediction = sentilora.Classifier.load(tmp_path / "strange")(TEXTS[0])
    assert prediction.label in ("ham", "spam")
    assert prediction.p_positive is None


def test_an_adapter_without_a_head_is_refused(run: sentilora.Run, tmp_path: Path) -> None:
    shutil.copytree(run.adapter, tmp_path / "adapter")
    (tmp_path / "adapter" / "sentilora.json").unlink()
    weights = tmp_path / "adapter" / "adapter_model.safetensors"
    save_file({name: tensor for name, tensor in load_file(weights).items() if "classifier" not in name}, weights)
    with pytest.raises(ModelError, match="holds no classification head"):
        sentilora.Classifier.load(tmp_path / "adapter")


def test_an_adapter_for_another_shape_is_refused_in_one_line(run: sentilora.Run, tmp_path: Path) -> None:
    shutil.copytree(run.adapter, tmp_path / "adapter")
    (tmp_path / "adapter" / "sentilora.json").unlink()
    with pytest.raises(ModelError, match="does not fit base embedded") as caught:
        sentilora.Classifier.load(tmp_path / "adapter", base="embedded")
    assert "\n" not in str(caught.value)


@pytest.mark.real
def test_someone_elses_adapter_loads(shared_data: Path, tmp_path: Path) -> None:
    """Its base cannot be had here: random weights of the true shape stand in, and plain PEFT is the judge."""
    from transformers import DistilBertConfig, DistilBertModel

    folder = shared_data / "adapters" / "distilbert-lora-imdb"
    torch.manual_seed(0)
    base = tmp_path / "distilbert"
    DistilBertModel(DistilBertConfig()).save_pretrained(base)
    shutil.copy(folder / "tokenizer.json", base)
    classifier = sentilora.Classifier.load(folder, base=str(base))
    prediction = classifier(TEXTS[0])
    assert prediction.label in ("LABEL_0", "LABEL_1")
    assert prediction.p_positive is None
    plain = PeftModel.from_pretrained(AutoModelForSequenceClassification.from_pretrained(base), folder).eval()
    ids = torch.tensor([classifier.encoder.encode([TEXTS[0]])[0].ids])
    with torch.no_grad():
        assert plain(input_ids=ids).logits.softmax(-1)[0].tolist() == pytest.approx(prediction.probabilities, abs=1e-5)
    assert json.loads((folder / "adapter_config.json").read_text("utf-8"))["r"] == 8
