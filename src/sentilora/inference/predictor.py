"""The only interface to a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Callable, Optional, Protocol

import numpy as np
import numpy.typing as npt

Logits = npt.NDArray[np.float32]


class Predictor(Protocol):
    """Token ids in, logits out. Implementations batch and pad as they like; the order of the texts is kept.

    Attributes:
        batch_invariant: Whether a text's logits are the same, bit for bit, whatever other texts are beside it.
    """

    batch_invariant: bool

    def logits(self, token_ids: Sequence[Sequence[int]], on_batch: Optional[Callable[[int], Any]] = None) -> Logits:
        """The logits of encoded texts.

        Args:
            token_ids: n texts, each 1 to 512 ids, special tokens included.
            on_batch: Called now and then with the number of texts that were computed since.

        Returns:
            float32 [n, labels]; [0, labels] for no texts.
        """
        ...
