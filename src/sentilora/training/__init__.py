"""Fine-tuning: from a configuration to a run."""

from sentilora.training.finetune import train
from sentilora.training.run import Run, RunRecord

__all__ = ["Run", "RunRecord", "train"]
