"""Fine-tuning: from a configuration to a run. Pretraining: from unlabelled texts to a base."""

from sentilora.training.finetune import train
from sentilora.training.pretraining import PretrainedBase, PretrainRecord, pretrain
from sentilora.training.run import Run, RunRecord

__all__ = ["PretrainRecord", "PretrainedBase", "Run", "RunRecord", "pretrain", "train"]
