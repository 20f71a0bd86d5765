"""`Predictor` in PyTorch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Callable, Optional

import numpy as np
import torch

from sentilora.inference.predictor import Logits
from sentilora.modeling.devices import Device
from sentilora.modeling.packed import PackedDistilBert, packable

# On two CPU cores 1024 to 2048 were the fastest of 512 to 8192, padded or packed; a GPU wants more to do at once.
_TOKENS_A_BATCH = {"cpu": 2048, "cuda": 32768, "mps": 16384}


class TorchPredictor:
    """Logits from a Transformers or PEFT model, in fp32, in evaluation mode.

    On a CPU the texts of a batch are packed; elsewhere, and for models that cannot be packed, they are padded, and
    texts of like length share a batch. Which texts share one depends on nothing but the texts given, so the same texts
    give the same logits. The encoder's own weights must not change after construction.
    """

    batch_invariant = False

    def __init__(self, model: Any, device: Device, labels: int) -> None:
        self.model = model.to(device.type)
        self.device = device
        self.labels = labels
        packed = device.type == "cpu" and packable(self.model)
        self._forward: Callable[[Sequence[Sequence[int]]], torch.Tensor] = (
            PackedDistilBert(self.model) if packed else self.padded_logits
        )

    def logits(self, token_ids: Sequence[Sequence[int]], on_batch: Optional[Callable[[int], Any]] = None) -> Logits:
        """The logits of encoded texts.

        Args:
            token_ids: n texts, each 1 to 512 ids, special tokens included.
            on_batch: Called after each batch with the number of texts in it.

        Returns:
            float32 [n, labels], in the order of the texts.
        """
        result = np.empty((len(token_ids), self.labels), dtype=np.float32)
        was_training = self.model.training
        self.model.eval()
        try:
            with torch.inference_mode():
                for rows in batches_by_length([len(ids) for ids in token_ids], _TOKENS_A_BATCH[self.device.type]):
                    result[rows] = self._forward([token_ids[row] for row in rows]).float().cpu().numpy()
                    if on_batch is not None:
                        on_batch(len(rows))
        finally:
            self.model.train(was_training)
        return result

    def padded_logits(self, token_ids: Sequence[Sequence[int]]) -> torch.Tensor:
        """The logits, [n, labels], of one padded batch, by the forward pass of the model itself; differentiable."""
        ids, mask = padded(token_ids)
        output = self.model(input_ids=ids.to(self.device.type), attention_mask=mask.to(self.device.type))
        logits: torch.Tensor = output.logits
        return logits


def batches_by_length(lengths: Sequence[int], tokens: int) -> Iterator[list[int]]:
    """Rows in batches of like length, longest first, so that memory peaks at once; each at most `tokens` padded."""
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    start = 0
    while start < len(order):
        count = max(1, tokens // lengths[order[start]])
        yield order[start : start + count]
        start += count


def padded(token_ids: Sequence[Sequence[int]]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask, int64 [n, longest], padded on the right with 0."""
    longest = max(len(ids) for ids in token_ids)
    ids = torch.zeros((len(token_ids), longest), dtype=torch.int64)
    mask = torch.zeros_like(ids)
    for row, text in enumerate(token_ids):
        ids[row, : len(text)] = torch.as_tensor(text)
        mask[row, : len(text)] = 1
    return ids, mask
