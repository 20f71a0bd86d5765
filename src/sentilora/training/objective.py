"""What training minimises."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - as PyTorch's users call it
from torch import Tensor

from sentilora.config import TrainConfig
from sentilora.errors import ConfigError


@dataclass(frozen=True)
class Objective:
    """Cross-entropy, its mean weighted by class, with smoothed labels (Szegedy et al., 2016, section 7).

    Attributes:
        smoothing: In [0, 1): the share of each label's weight that is spread over all labels.
        weights: float32 [labels], what a text of each label counts; None where all count alike.
    """

    smoothing: float
    weights: Optional[Tensor]

    @classmethod
    def of(cls, config: TrainConfig, labels: npt.NDArray[np.int64]) -> Objective:
        """The objective of a configuration for training labels, int64 [n].

        Raises:
            ConfigError: The class weights are not one a label.
        """
        counts = np.bincount(labels, minlength=2)
        if config.class_weights == "none":
            return cls(config.label_smoothing, None)
        if config.class_weights == "auto":
            weights = [float(weight) for weight in len(labels) / (len(counts) * counts)]
        else:
            try:
                weights = [float(weight) for weight in config.class_weights.split(",")]
            except ValueError:
                weights = []
        if len(weights) != len(counts) or not min(weights) > 0:
            raise ConfigError(f"setting 'class_weights': give {len(counts)} numbers above 0, negative's first")
        return cls(config.label_smoothing, torch.tensor(weights))

    def of_part(self, logits: Tensor, labels: Tensor, step_labels: Tensor) -> Tensor:
        """What part of a step, logits [m, labels], adds to the mean over the whole step's labels, int64 [n]."""
        weights = None if self.weights is None else self.weights.to(logits.device)
        total = F.cross_entropy(logits.float(), labels, weight=weights, label_smoothing=self.smoothing, reduction="sum")
        return total / (len(step_labels) if weights is None else weights[step_labels].sum())
