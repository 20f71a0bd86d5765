"""Attaching a LoRA adapter and a trainable head to a frozen encoder."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, Optional

import torch
from peft import LoraConfig, PeftModel, TaskType, get_peft_model
from peft.tuners.lora import LoraLayer
from transformers import PreTrainedModel

from sentilora.config import LoraSettings
from sentilora.errors import ConfigError
from sentilora.modeling.pretrained import HEAD


def attach_lora(model: PreTrainedModel, settings: LoraSettings) -> PeftModel:
    """Freeze the encoder and give it LoRA matrices; the head stays trainable and is named explicitly for saving.

    Raises:
        ConfigError: A target module is not a linear layer of the encoder.
    """
    linear = {name for name, module in model.base_model.named_modules() if isinstance(module, torch.nn.Linear)}
    known = sorted({name.rpartition(".")[2] for name in linear})
    for target in settings.target_modules:
        if target not in known:
            raise ConfigError(
                f"setting 'lora.target_modules': no linear layer is called '{target}': {', '.join(known)}"
            )
    config = LoraConfig(
        task_type=TaskType.SEQ_CLS,
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules),
        modules_to_save=list(HEAD),
        bias="none",
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # PEFT reads an attribute that Transformers is renaming
        return get_peft_model(model, config)


def untrained_parts(keys: Iterable[str], targets: Iterable[str]) -> list[str]:
    """What a saved adapter must hold and these tensor names lack: the head's layers, each target's matrices."""
    names = list(keys)
    wanted = [f".{part}.weight" for part in HEAD]
    wanted += [f".{target}.lora_{matrix}.weight" for target in targets for matrix in "AB"]
    return [part for part in wanted if not any(name.endswith(part) for name in names)]


def count_parameters(model: torch.nn.Module) -> tuple[int, int]:
    """How many parameters are trained, and how many there are."""
    trained = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
    return trained, sum(parameter.numel() for parameter in model.parameters())


def plain_lora(layer: Any) -> Optional[tuple[Any, Any]]:
    """The matrices of a layer's only LoRA adapter, float32 [in, rank] and [rank, out], the scaling in the latter.

    None for a layer without an adapter.
    """
    if not isinstance(layer, LoraLayer):
        return None
    (name,) = layer.active_adapters
    down, up = (matrix[name].weight.detach().float().cpu().numpy() for matrix in (layer.lora_A, layer.lora_B))
    return down.T, up.T * layer.scaling[name]
