"""Which device computes, and in which precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Optional, get_args

import torch

from sentilora.config import BatchingChoice, DeviceChoice, PrecisionChoice
from sentilora.errors import ConfigError
from sentilora.notes import Notes

Precision = Literal["fp32", "bf16", "fp16"]
Batching = Literal["packed", "padded"]

_FIRST_CAPABILITY_WITH_BF16 = 8  # Ampere; a T4 is 7.5 and only emulates bf16


@dataclass(frozen=True)
class Device:
    """Where to compute.

    Attributes:
        type: As PyTorch names it.
        capability: Major CUDA compute capability; None elsewhere.
        has_bf16: Whether a CPU multiplies matrices in bf16 by instructions of its own.
    """

    type: Literal["cpu", "cuda", "mps"]
    capability: Optional[int] = None
    has_bf16: bool = False


def choose_device(choice: DeviceChoice, notes: Notes) -> Device:
    """The device asked for, or the best there is.

    Raises:
        ConfigError: A device was asked for that is not there, or is none.
    """
    if choice not in get_args(DeviceChoice):
        raise ConfigError(f"--device {choice}: choose {', '.join(get_args(DeviceChoice))}")
    has_cuda, has_mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if choice == "auto":
        choice = "cuda" if has_cuda else "mps" if has_mps else "cpu"
        if choice == "cpu":
            notes.say("no GPU found: computing on the CPU")
    if (choice == "cuda" and not has_cuda) or (choice == "mps" and not has_mps):
        raise ConfigError(f"--device {choice}: PyTorch finds no such device here; use --device cpu or auto")
    if choice == "cuda":
        return Device("cuda", torch.cuda.get_device_capability()[0])
    return Device(choice, has_bf16=choice == "cpu" and _cpu_has_bf16())


def _cpu_has_bf16() -> bool:
    if hasattr(torch.cpu, "get_capabilities"):
        capabilities = torch.cpu.get_capabilities()
        return any(capabilities.get(name, False) for name in ("avx512_bf16", "amx_bf16"))
    return bool(torch.cpu._is_avx512_bf16_supported())  # before PyTorch 2.10


def choose_precision(choice: PrecisionChoice, device: Device, notes: Notes) -> Precision:
    """The precision of training asked for, or the one that suits the device.

    | device | auto | why |
    |---|---|---|
    | CUDA, compute capability 8 and up | bf16 | native there, and needs no loss scaling |
    | CUDA below 8 (a T4 is 7.5) | fp16 | bf16 is only emulated; the Trainer adds a GradScaler |
    | CPU with bf16 instructions (AVX512-BF16, AMX) | bf16 | twice as fast |
    | MPS, other CPUs | fp32 | |

    Raises:
        ConfigError: fp16 was asked for away from CUDA, where its loss scaling is not to be had.
    """
    if choice == "fp16" and device.type != "cuda":
        raise ConfigError(f"--precision fp16 needs a CUDA GPU, and the device is {device.type}: use fp32 or bf16")
    if choice != "auto":
        if choice == "bf16" and device.type == "cuda" and (device.capability or 0) < _FIRST_CAPABILITY_WITH_BF16:
            notes.say("bf16 is only emulated on this GPU and slow: fp16 is its fast precision")
        return choice
    if device.type != "cuda":
        return "bf16" if device.has_bf16 else "fp32"
    if (device.capability or 0) >= _FIRST_CAPABILITY_WITH_BF16:
        return "bf16"
    notes.say("this GPU has no native bf16: training in fp16 with loss scaling")
    return "fp16"


def choose_batching(
    choice: BatchingChoice, can_be_packed: bool, device: Device, precision: Precision, notes: Notes
) -> Batching:
    """How texts share a training step: as asked, or packed on a CPU wherever model and precision allow.

    Raises:
        ConfigError: Packing was asked for and cannot be had.
    """
    if choice == "padded":
        return "padded"
    if precision == "fp16" or not can_be_packed:
        reason = "fp16 is trained padded" if precision == "fp16" else "this adapter or base cannot be packed"
        if choice == "packed":
            raise ConfigError(f"--batching packed: {reason}; use --batching padded")
        if device.type == "cpu":
            notes.say(f"{reason}: texts are padded and grouped by length")
        return "padded"
    return "packed" if choice == "packed" or device.type == "cpu" else "padded"
