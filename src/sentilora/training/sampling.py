"""The order in which an epoch takes the texts: by the seed and the epoch alone, so that it can be resumed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Callable

import numpy as np
import torch

_BATCHES_SORTED_TOGETHER = 50


class EpochSampler(torch.utils.data.Sampler[int]):
    """Row numbers of one epoch, in seeded random order.

    Args:
        lengths: Tokens of each text.
        batch_size: Texts a batch.
        seed: Of the order.
        epoch: Says which epoch begins, from 0.
        grouped: Whether texts of like length are to share a batch, which random batches, shuffled, of 50 batches' worth
            of texts sorted by length give; for batches that are padded.
    """

    def __init__(
        self, lengths: Sequence[int], batch_size: int, seed: int, epoch: Callable[[], int], grouped: bool
    ) -> None:
        self.lengths = np.asarray(lengths)
        self.batch_size = batch_size
        self.seed = seed
        self.epoch = epoch
        self.grouped = grouped

    def __len__(self) -> int:
        """How many texts there are."""
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        """The rows of the epoch that begins."""
        rng = np.random.default_rng((self.seed, self.epoch()))
        rows = rng.permutation(len(self.lengths))
        if self.grouped:
            size = self.batch_size * _BATCHES_SORTED_TOGETHER
            parts = [rows[start : start + size] for start in range(0, len(rows), size)]
            rows = np.concatenate([part[np.argsort(-self.lengths[part], kind="stable")] for part in parts])
            full = len(rows) // self.batch_size
            batches = [rows[batch * self.batch_size : (batch + 1) * self.batch_size] for batch in rng.permutation(full)]
            rows = np.concatenate([*batches, rows[full * self.batch_size :]])
        yield from rows.tolist()
