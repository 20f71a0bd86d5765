"""A run: the folder one training leaves behind."""

from __future__ import annotations

import platform
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import msgspec

from sentilora._version import __version__
from sentilora.analysis import ClassificationMetrics
from sentilora.analysis.calibration import Calibration
from sentilora.artifacts import ADAPTER_FOLDER
from sentilora.config import TrainConfig
from sentilora.inference import Classifier
from sentilora.inference.predictor import Logits

_RECORDED_PACKAGES = ("torch", "transformers", "peft", "accelerate", "tokenizers", "numpy")


class EpochScores(msgspec.Struct, frozen=True, kw_only=True):
    """Validation after one epoch.

    Attributes:
        epoch: From 1.
        loss: Mean training loss of the epoch, in nats.
        validation_loss: Mean cross-entropy of the validation texts, in nats.
        accuracy: In [0, 1], as are f1, precision and recall, of the positive label.
    """

    epoch: int
    loss: float
    validation_loss: float
    accuracy: float
    f1: float
    precision: float
    recall: float


class RunRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `metrics.json` says of a run.

    Attributes:
        training: The training texts in one line: how many, from where, what was dropped of these alone.
        validation: The validation texts in one line.
        split: How the two were parted, in one line, and what was dropped of the source that both come from.
        encoding: Share of truncated texts and of unknown tokens among the training texts, in one line.
        device: Where it was trained.
        precision: Of the forward and backward pass.
        batching: How the texts of a step shared it.
        processes: How many trained together.
        trained_parameters: How many parameters were trained.
        total_parameters: How many there are, those included.
        epochs: Validation after each epoch.
        best_epoch: The epoch, from 1, whose adapter was kept.
        scores: Validation at the end, each in [0, 1].
        confusion: Validation counts at the end.
        calibration: The temperature, and the validation's calibration without it and with it.
        reload_difference: Largest difference of a logit between the saved adapter and the model in memory, over the
            whole validation set.
        training_seconds: Steps only, without validation.
        texts_per_second: Over the same time.
        notes: What was assumed or fell back.
        versions: Of what it was made with.
    """

    training: str
    validation: str
    split: str
    encoding: str
    device: str
    precision: str
    batching: str
    processes: int
    trained_parameters: int
    total_parameters: int
    epochs: tuple[EpochScores, ...]
    best_epoch: int
    scores: dict[str, float]
    confusion: dict[str, int]
    calibration: Calibration
    reload_difference: float
    training_seconds: float
    texts_per_second: float
    notes: tuple[str, ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class Run:
    """A finished training.

    Attributes:
        folder: Where it lies.
        config: The exact configuration.
        record: What `metrics.json` says.
        metrics: The confusion table of the validation texts.
        classifier: The trained model, in memory.
        validation_logits: float32 [n, 2], its answers to the validation texts, in the order of `validation.parquet`.
    """

    folder: Path
    config: TrainConfig
    record: RunRecord
    metrics: ClassificationMetrics
    classifier: Classifier
    validation_logits: Logits

    @property
    def adapter(self) -> Path:
        """The adapter's folder."""
        return self.folder / ADAPTER_FOLDER


def versions() -> dict[str, str]:
    """Versions of Python, sentilora, and the packages a training rests on."""
    packages = {name: metadata.version(name) for name in _RECORDED_PACKAGES}
    return {"python": platform.python_version(), "sentilora": __version__, **packages}
