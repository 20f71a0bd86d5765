from __future__ import annotations

import pytest
import torch

from sentilora.errors import ConfigError
from sentilora.modeling.devices import Device, choose_device, choose_precision
from sentilora.notes import Notes


@pytest.mark.parametrize(
    ("device", "choice", "precision"),
    [
        (Device("cpu"), "auto", "fp32"),
        (Device("cpu", has_bf16=True), "auto", "bf16"),
        (Device("cpu", has_bf16=True), "fp32", "fp32"),
        (Device("mps"), "auto", "fp32"),
        (Device("cuda", 6), "auto", "fp16"),
        (Device("cuda", 7), "auto", "fp16"),  # a T4: PyTorch would say it supports bf16
        (Device("cuda", 8), "auto", "bf16"),
        (Device("cuda", 9), "auto", "bf16"),
        (Device("cuda", 12), "auto", "bf16"),
        (Device("cuda", 7), "bf16", "bf16"),
        (Device("cuda", 9), "fp16", "fp16"),
        (Device("cuda", 9), "fp32", "fp32"),
        (Device("cpu"), "bf16", "bf16"),
    ],
)
def test_precision_suits_the_device(device: Device, choice: str, precision: str) -> None:
    assert choose_precision(choice, device, Notes()) == precision


@pytest.mark.parametrize("device", [Device("cpu"), Device("mps")])
def test_fp16_needs_its_loss_scaling(device: Device) -> None:
    with pytest.raises(ConfigError, match="--precision fp16 needs a CUDA GPU"):
        choose_precision("fp16", device, Notes())


def test_a_fallback_is_said() -> None:
    notes = Notes()
    choose_precision("auto", Device("cuda", 7), notes)
    choose_precision("bf16", Device("cuda", 7), notes)
    assert len(list(notes)) == 2


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")
def test_a_device_that_is_not_there_is_refused() -> None:
    notes = Notes()
    assert choose_device("auto", notes).type in ("cpu", "mps")
    with pytest.raises(ConfigError, match="--device cuda"):
        choose_device("cuda", notes)
