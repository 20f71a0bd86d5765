"""Bases, adapters and merged models that are not what they say they are: one line, and never a random weight."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any, Callable

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.numpy import load_file, save_file
from transformers import AutoModelForSequenceClassification

import sentilora
from sentilora.errors import HubError, ModelError
from sentilora.modeling.merging import merge
from sentilora.training.pretraining import pretrain

TEXTS = ["a " + "very " * number + "fine film" for number in range(30)]
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 267832558\n"


def with_tensors(weights: Path, change: Callable[[dict[str, Any]], dict[str, Any]]) -> None:
    save_file(change(load_file(weights)), weights, {"format": "pt"})


def without(part: str) -> Callable[[dict[str, Any]], dict[str, Any]]:
    return lambda tensors: {name: tensor for name, tensor in tensors.items() if part not in name}


def with_config(folder: Path, **settings: object) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), **settings}), "utf-8")


def with_one_more_token(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text("utf-8"))
    vocabulary = tokenizer["model"]["vocab"]
    vocabulary["unheard-of"] = len(vocabulary)
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer), "utf-8")


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a weight is lost": (
        lambda base: with_tensors(base / "model.safetensors", without("layer.1.attention.k_lin.weight")),
        r"model.safetensors lacks weights.*\(1, such as (distilbert\.)?transformer.layer.1.attention.k_lin.weight\)",
    ),
    "of another model": (
        lambda base: with_tensors(
            base / "model.safetensors", lambda tensors: {f"bert.{name}": each for name, each in tensors.items()}
        ),
        "model.safetensors lacks weights",
    ),
    "of other sizes": (lambda base: with_config(base, dim=40, hidden_dim=80), "in another shape"),
    "no sizes": (lambda base: with_config(base, n_layers="six"), "cannot be loaded as a DistilBERT"),
    "weights not fetched": (
        lambda base: (base / "model.safetensors").write_text(POINTER, "utf-8"),
        "model.safetensors is not a safetensors file .*git lfs pull",
    ),
    "tokenizer not fetched": (
        lambda base: (base / "tokenizer.json").write_text(POINTER, "utf-8"),
        "tokenizer.json is not a tokenizer",
    ),
    "tokenizer of another model": (with_one_more_token, r"the tokenizer has \d,\d+ tokens, the model knows"),
    "config of nothing": (lambda base: (base / "config.json").write_text("[]", "utf-8"), "config.json holds a list"),
    "config not fetched": (
        lambda base: (base / "config.json").write_text(POINTER, "utf-8"),
        "config.json is not JSON",
    ),
}


@pytest.fixture
def base(tiny_base: Path, tmp_path: Path) -> Path:
    return shutil.copytree(tiny_base, tmp_path / "base")


@pytest.fixture
def adapter(run: sentilora.Run, tmp_path: Path) -> Path:
    """Of a stranger: nothing beside it tells what its files must be."""
    folder = shutil.copytree(run.adapter, tmp_path / "adapter")
    (folder / "sentilora.json").unlink()
    return folder


@pytest.fixture
def merged(run: sentilora.Run, tmp_path: Path) -> Path:
    merge(run.folder, tmp_path / "merged")
    (tmp_path / "merged" / "sentilora.json").unlink()
    return tmp_path / "merged"


def refused(call: Callable[[], object], saying: str) -> None:
    with pytest.raises(ModelError, match=saying) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_base_is_neither_trained_nor_pretrained(
    base: Path, reviews_csv: Path, tmp_path: Path, damage: str
) -> None:
    do, saying = DAMAGES[damage]
    do(base)
    refused(lambda: sentilora.train(base=str(base), data=str(reviews_csv), output=tmp_path / "run"), saying)
    refused(lambda: pretrain(TEXTS, base=str(base), output=tmp_path / "new"), saying)
    assert not list(tmp_path.glob("run*"))
    assert not list(tmp_path.glob("new*"))


@pytest.mark.parametrize("damage", [each for each in DAMAGES if each != "of another model"])
def test_a_damaged_merged_model_does_not_answer(merged: Path, damage: str) -> None:
    do, saying = DAMAGES[damage]
    do(merged)
    refused(lambda: sentilora.Classifier.load(merged), saying)


def test_a_merged_model_brings_its_head(merged: Path) -> None:
    with_tensors(merged / "model.safetensors", without("pre_classifier.bias"))
    refused(lambda: sentilora.Classifier.load(merged), "lacks weights")


def test_a_base_may_have_a_head_of_other_labels(tiny_base: Path, reviews_csv: Path, tmp_path: Path) -> None:
    AutoModelForSequenceClassification.from_pretrained(tiny_base, num_labels=3).save_pretrained(tmp_path / "stars")
    shutil.copy(tiny_base / "tokenizer.json", tmp_path / "stars")
    settings = {"base": str(tmp_path / "stars"), "data": str(reviews_csv), "epochs": 1, "max_length": 32}
    run = sentilora.train(output=tmp_path / "run", **settings)
    assert run.record.reload_difference < 1e-5
    expected = run.classifier("A fine film.").probabilities
    assert sentilora.Classifier.load(run.folder)("A fine film.").probabilities == pytest.approx(expected, abs=1e-5)


def test_a_base_with_more_embeddings_than_tokens_is_pretrained(base: Path, tmp_path: Path) -> None:
    def padded(tensors: dict[str, Any]) -> dict[str, Any]:
        words = torch.from_numpy(tensors["embeddings.word_embeddings.weight"])
        return {**tensors, "embeddings.word_embeddings.weight": torch.cat([words, words[:3]]).numpy()}

    with_tensors(base / "model.safetensors", padded)
    with_config(base, vocab_size=json.loads((base / "config.json").read_text("utf-8"))["vocab_size"] + 3)
    new = pretrain(TEXTS, base=str(base), max_steps=1, output=tmp_path / "new")
    assert new.record.steps == 1


@pytest.mark.parametrize(
    ("change", "saying"),
    [
        (without("layer.1.attention.q_lin.lora_B"), r"adapter_model.safetensors lacks .*layer\.1.*lora_B"),
        (
            lambda tensors: {
                **tensors,
                "base_model.model.distilbert.layer.9.q_lin.lora_A.weight": tensors.popitem()[1],
            },
            "adapter_model.safetensors (lacks|has, and does not use) ",
        ),
        (
            lambda tensors: {name.replace("base_model.model.d", "model.d"): each for name, each in tensors.items()},
            "adapter_model.safetensors lacks ",
        ),
    ],
)
def test_an_adapter_that_fits_in_part_is_refused(adapter: Path, change: Any, saying: str) -> None:
    with_tensors(adapter / "adapter_model.safetensors", change)
    refused(lambda: sentilora.Classifier.load(adapter), saying)


def test_matrices_that_the_adapters_configuration_leaves_out_are_refused(adapter: Path) -> None:
    path = adapter / "adapter_config.json"
    settings = json.loads(path.read_text("utf-8"))
    path.write_text(json.dumps({**settings, "layers_to_transform": [0]}), "utf-8")
    refused(lambda: sentilora.Classifier.load(adapter), r"has, and does not use .*layer\.1\..*lora_A")


@pytest.mark.parametrize(
    ("content", "saying"),
    [("[]", "adapter_config.json holds a list"), ('{"peft_type": "NEW"}', "names no base"), ("{", "is not JSON")],
)
def test_an_adapter_with_a_strange_configuration_is_refused(adapter: Path, content: str, saying: str) -> None:
    (adapter / "adapter_config.json").write_text(content, "utf-8")
    refused(lambda: sentilora.Classifier.load(adapter), saying)


def test_an_adapter_of_an_unknown_kind_is_refused(adapter: Path) -> None:
    path = adapter / "adapter_config.json"
    path.write_text(json.dumps({**json.loads(path.read_text("utf-8")), "peft_type": "NEW"}), "utf-8")
    refused(lambda: sentilora.Classifier.load(adapter), "does not fit base")


def test_an_adapter_that_brings_its_embeddings_answers_with_them(tiny_base: Path, tmp_path: Path) -> None:
    """As plain PEFT saves them where a tokenizer was lengthened."""
    model = AutoModelForSequenceClassification.from_pretrained(tiny_base)
    lora = LoraConfig(task_type="SEQ_CLS", r=2, target_modules=["q_lin"], init_lora_weights=False)
    strange = get_peft_model(model, lora).eval()
    with torch.no_grad():
        strange.get_input_embeddings().weight *= 1.5
    strange.save_pretrained(tmp_path / "strange", save_embedding_layers=True)
    classifier = sentilora.Classifier.load(tmp_path / "strange")
    ids = torch.tensor([classifier.encoder.encode(["A fine film."])[0].ids])
    with torch.no_grad():
        expected = strange(input_ids=ids).logits.softmax(-1)[0].tolist()
    assert classifier("A fine film.").probabilities == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("labels", [None, {"0": None, "1": "b"}, {"0": "a", "2": "b"}])
def test_labels_that_are_none_are_called_as_transformers_calls_them(merged: Path, labels: object) -> None:
    with_config(merged, id2label=labels)
    assert sentilora.Classifier.load(merged).labels.names == ("LABEL_0", "LABEL_1")


def test_a_base_of_nobody_is_one_line(reviews_csv: Path, tmp_path: Path) -> None:
    with pytest.raises(HubError, match="'~nobody-here/x' is neither a folder here"):
        sentilora.train(base="~nobody-here/x", data=str(reviews_csv), output=tmp_path / "r")
