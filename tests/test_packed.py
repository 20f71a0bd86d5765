"""Packed texts give what Transformers and PEFT give for padded ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, PromptTuningConfig, TaskType, get_peft_model
from torch.nn.functional import cross_entropy

import sentilora
from sentilora.config import LoraSettings
from sentilora.errors import ConfigError
from sentilora.labels import SENTIMENT
from sentilora.modeling.devices import Device, choose_batching
from sentilora.modeling.lora import attach_lora
from sentilora.modeling.packed import PackedDistilBert, packable, token_budgets
from sentilora.modeling.predictor import padded
from sentilora.modeling.pretrained import load_pretrained
from sentilora.notes import Notes

TEXTS = [[2, *range(10, 10 + length), 3] for length in (1, 40, 7, 0, 23, 23)]
LABELS = torch.tensor([0, 1, 1, 0, 1, 1])
ALL = ("q_lin", "k_lin", "v_lin", "out_lin", "lin1", "lin2")


def adapted(base: Path, targets: tuple[str, ...], dropout: float = 0.0) -> Any:
    torch.manual_seed(1)
    model = attach_lora(
        load_pretrained(base, SENTIMENT, 0.0, 0.0), LoraSettings(target_modules=targets, dropout=dropout)
    )
    for name, parameter in model.named_parameters():
        if "lora_B" in name:  # zero at first, which would hide the gradients of A
            torch.nn.init.normal_(parameter, std=0.1)
    model.get_base_model().dropout.p = 0.0
    return model.train()


def padded_logits(model: Any) -> torch.Tensor:
    ids, mask = padded(TEXTS)
    logits: torch.Tensor = model(input_ids=ids, attention_mask=mask).logits
    return logits


def gradients(model: Any, logits: torch.Tensor) -> dict[str, torch.Tensor]:
    model.zero_grad()
    cross_entropy(logits, LABELS).backward()
    return {name: parameter.grad.clone() for name, parameter in model.named_parameters() if parameter.requires_grad}


@pytest.mark.parametrize("targets", [("q_lin",), ("lin1", "lin2"), ALL])
def test_logits_and_gradients_are_those_of_padded_peft(tiny_base: Path, targets: tuple[str, ...]) -> None:
    model = adapted(tiny_base, targets)
    packed = PackedDistilBert(model)
    assert torch.allclose(packed(TEXTS), padded_logits(model), atol=1e-5)
    expected, found = gradients(model, padded_logits(model)), gradients(model, packed(TEXTS))
    assert expected.keys() == found.keys()
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_lora_dropout_drops_the_same_way(tiny_base: Path) -> None:
    """With everything dropped only the frozen layers are left, and no gradient reaches what was dropped."""
    model = adapted(tiny_base, ALL, dropout=0.999999)
    packed = PackedDistilBert(model)
    torch.manual_seed(0)  # 16 bits keep one element in 65,536, but none of these
    found = gradients(model, packed(TEXTS))
    assert all(gradient.norm() == 0 for name, gradient in found.items() if ".lora_" in name)
    with model.disable_adapter():
        assert torch.allclose(packed(TEXTS), padded_logits(model), atol=1e-5)


def test_moderate_lora_dropout_keeps_the_mean(tiny_base: Path) -> None:
    model = adapted(tiny_base, ("q_lin",), dropout=0.2)
    packed = PackedDistilBert(model)
    torch.manual_seed(0)
    mean = torch.stack([packed(TEXTS) for _ in range(300)]).mean(0)
    expected = torch.stack([padded_logits(model) for _ in range(300)]).mean(0)
    assert torch.allclose(mean, expected, atol=0.1 * expected.abs().max().item())
    assert not torch.equal(packed(TEXTS), packed(TEXTS))
    model.eval()
    assert torch.equal(packed(TEXTS), packed(TEXTS))


def test_a_plain_model_is_packed_too(tiny_base: Path) -> None:
    model = load_pretrained(tiny_base, SENTIMENT).eval()
    with torch.inference_mode():
        assert torch.allclose(PackedDistilBert(model)(TEXTS), padded_logits(model), atol=1e-5)


def test_attention_that_could_drop_is_exact_where_it_drops_nothing(tiny_base: Path) -> None:
    model = adapted(tiny_base, ALL)
    expected = gradients(model, padded_logits(model))
    for block in model.get_base_model().distilbert.transformer.layer:
        block.attention.dropout.p = 1e-9  # which 16 bits round to none
    found = gradients(model, PackedDistilBert(model)(TEXTS))
    for name, gradient in expected.items():
        assert (found[name] - gradient).norm() <= 1e-5 * gradient.norm(), name


def test_texts_of_like_lengths_share_the_kernels_of_attention(tiny_base: Path, capfd: Any) -> None:
    model = adapted(tiny_base, ("q_lin",))
    packed = PackedDistilBert(model, torch.bfloat16)

    def shapes(lengths: range) -> set[str]:
        with torch.backends.mkldnn.verbose(torch.backends.mkldnn.VERBOSE_ON_CREATION):  # type: ignore[no-untyped-call]
            for length in lengths:
                packed([[2] * length, [2] * (96 - length)]).sum().backward()
        products = [line.split(",") for line in capfd.readouterr().out.splitlines() if ",matmul," in line]
        return {words[-2] for words in products if words[-2].split(":")[0].count("x") == 2}  # of batches

    alone = shapes(range(40, 41))
    if not alone:
        pytest.skip("this processor multiplies bf16 without oneDNN")
    assert shapes(range(33, 48)) == alone


def test_bf16_is_near(tiny_base: Path) -> None:
    model = adapted(tiny_base, ALL)
    exact, half = padded_logits(model), PackedDistilBert(model, torch.bfloat16)(TEXTS)
    assert half.dtype is torch.float32
    assert 0 < (half - exact).norm() <= 0.1 * exact.norm()
    expected, found = gradients(model, exact), gradients(model, PackedDistilBert(model, torch.bfloat16)(TEXTS))
    similarity = torch.nn.functional.cosine_similarity
    for name, gradient in expected.items():
        assert similarity(found[name].flatten(), gradient.flatten(), dim=0) > 0.95, name


@pytest.mark.parametrize(
    "variant",
    [
        {"use_dora": True},
        {"lora_bias": True},
        {"modules_to_save": ["embeddings"]},
        {"modules_to_save": ["output_layer_norm"]},
    ],
)
def test_what_is_not_plain_lora_is_left_to_peft(tiny_base: Path, variant: dict[str, Any]) -> None:
    config = LoraConfig(task_type=TaskType.SEQ_CLS, target_modules=["q_lin"], **variant)
    model = get_peft_model(load_pretrained(tiny_base, SENTIMENT), config)
    assert not packable(model)


def test_what_is_not_lora_is_left_to_peft(tiny_base: Path) -> None:
    config = PromptTuningConfig(
        task_type=TaskType.SEQ_CLS, num_virtual_tokens=4, token_dim=32, num_layers=2, num_attention_heads=4
    )
    assert not packable(get_peft_model(load_pretrained(tiny_base, SENTIMENT), config))


@given(st.lists(st.integers(1, 50)), st.integers(1, 100))
def test_parts_keep_the_order_and_the_budget(lengths: list[int], tokens: int) -> None:
    parts = list(token_budgets(lengths, tokens))
    assert [row for part in parts for row in part] == list(range(len(lengths)))
    assert all(len(part) == 1 or sum(lengths[row] for row in part) <= tokens for part in parts)


@pytest.mark.parametrize(
    ("choice", "can_be_packed", "device", "precision", "batching"),
    [
        ("auto", True, "cpu", "fp32", "packed"),
        ("auto", True, "cpu", "bf16", "packed"),
        ("auto", False, "cpu", "fp32", "padded"),
        ("auto", True, "cuda", "bf16", "padded"),
        ("auto", True, "cuda", "fp16", "padded"),
        ("packed", True, "cuda", "bf16", "packed"),
        ("padded", True, "cpu", "fp32", "padded"),
    ],
)
def test_batching_suits_the_device(
    choice: Any, can_be_packed: bool, device: Any, precision: Any, batching: str
) -> None:
    assert choose_batching(choice, can_be_packed, Device(device), precision, Notes()) == batching


def test_packing_that_cannot_be_had_is_said() -> None:
    notes = Notes()
    choose_batching("auto", False, Device("cpu"), "fp32", notes)
    assert list(notes) == ["this adapter or base cannot be packed: texts are padded and grouped by length"]
    with pytest.raises(ConfigError, match="--batching packed: fp16 is trained padded; use --batching padded"):
        choose_batching("packed", True, Device("cuda", 7), "fp16", notes)


def test_padded_training_learns_too(tmp_path: Path, run: sentilora.Run) -> None:
    settings = {"base": run.config.base, "data": run.config.data, "epochs": 2, "max_length": 64, "precision": "fp32"}
    ours = sentilora.train(**settings, batching="padded", output=tmp_path / "padded")
    assert ours.record.batching == "padded"
    assert run.record.batching == "packed"
    assert ours.record.epochs[-1].loss < ours.record.epochs[0].loss
