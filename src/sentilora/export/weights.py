"""The arrays of a trained classifier, as a graph and what feeds it need them."""

from __future__ import annotations

from typing import Any

import numpy as np
from peft import PeftModel
from peft.tuners.tuners_utils import BaseTunerLayer

from sentilora.errors import ModelError
from sentilora.export.graph import Encoder
from sentilora.export.quantisation import Floats
from sentilora.inference import Classifier
from sentilora.inference.graph import HeadInputs, down_input, up_input
from sentilora.modeling.lora import plain_lora
from sentilora.modeling.packed import packable
from sentilora.modeling.saving import torch_predictor


def encoder_of(model: Any) -> Encoder:
    """The arrays of a `DistilBertForSequenceClassification` without an adapter.

    Raises:
        ModelError: Its feed-forward layers use another function than GELU.
    """
    if model.config.activation != "gelu":
        raise ModelError(f"export knows DistilBERT with GELU, and this base has '{model.config.activation}'")
    weights = {name: tensor.detach().float().cpu().numpy() for name, tensor in model.state_dict().items()}
    return Encoder(weights, model.config.n_layers, model.config.n_heads)


def adapter_arrays(classifier: Classifier) -> dict[str, Floats]:
    """The low-rank updates and the head of an adapter by the names of a graph's inputs; its temperature is folded in.

    Raises:
        ModelError: It is more than plain LoRA matrices and a head.
    """
    model = torch_predictor(classifier).model
    if not isinstance(model, PeftModel) or not (packable(model) and _is_plain(model)):
        raise ModelError("export takes plain LoRA adapters: fold this one with sentilora merge, and export the result")
    distilbert = model.get_base_model()
    head = [
        (layer.weight.detach().float().numpy().T, layer.bias.detach().float().numpy())
        for layer in (_trained(distilbert.pre_classifier), _trained(distilbert.classifier))
    ]
    scale = np.float32(classifier.temperature)
    arrays = dict(zip(HeadInputs.named().names, (*head[0], head[1][0] / scale, head[1][1] / scale)))
    layers = distilbert.distilbert.transformer.layer
    for number, layer in enumerate(layers):
        for kind, linears in _kinds(layer, last=number == len(layers) - 1).items():
            updates = [plain_lora(linear) for linear in linears]
            if all(update is None for update in updates):
                continue
            sizes = [linear.out_features for linear in linears]
            downs = [update[0] for update in updates if update is not None]
            arrays[down_input(number, kind)] = np.concatenate(downs, axis=1)
            arrays[up_input(number, kind)] = _side_by_side([update and update[1] for update in updates], sizes)
    return {name: np.ascontiguousarray(array, dtype=np.float32) for name, array in arrays.items()}


def _is_plain(model: PeftModel) -> bool:
    """Whether it trained no biases, and nothing beside the blocks but the head."""
    distilbert = model.get_base_model().distilbert
    blocks = set(distilbert.transformer.modules())
    elsewhere = any(isinstance(module, BaseTunerLayer) for module in distilbert.modules() if module not in blocks)
    return model.active_peft_config.bias == "none" and not elsewhere


def _trained(layer: Any) -> Any:
    """The trained copy of a head's layer."""
    return layer.modules_to_save[layer.active_adapters[0]] if hasattr(layer, "modules_to_save") else layer


def _kinds(layer: Any, *, last: bool) -> dict[str, list[Any]]:
    """Linear maps that a graph computes side by side; see `down_input`."""
    attention, ffn = layer.attention, layer.ffn
    query, others = [attention.q_lin], [attention.k_lin, attention.v_lin]
    inner = {"q": query, "kv": others} if last else {"qkv": query + others}
    return {**inner, "out": [attention.out_lin], "lin1": [ffn.lin1], "lin2": [ffn.lin2]}


def _side_by_side(blocks: list[Any], sizes: list[int]) -> Floats:
    """[rank_1 + ..., out_1 + ...] with each block, [rank, out], in rows and columns of its own; None has no rows."""
    rows = [
        np.concatenate(
            [block if other == number else np.zeros((len(block), size)) for other, size in enumerate(sizes)], 1
        )
        for number, block in enumerate(blocks)
        if block is not None
    ]
    return np.concatenate(rows).astype(np.float32)
