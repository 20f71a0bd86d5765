"""Transformers' Trainer, set up for LoRA on a small encoder."""

from __future__ import annotations

import contextlib
import dataclasses
import logging
import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import numpy as np
import numpy.typing as npt
import torch
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from sentilora.config import TrainConfig
from sentilora.modeling.devices import Device, Precision
from sentilora.modeling.predictor import TorchPredictor, padded
from sentilora.progress import Progress
from sentilora.text import EncodedText
from sentilora.training.metric import SentimentMetric

_logger = logging.getLogger("sentilora")


@dataclass(frozen=True)
class EncodedSplit:
    """Encoded texts with their labels, int64 [n]."""

    texts: Sequence[EncodedText]
    labels: npt.NDArray[np.int64]

    @property
    def token_ids(self) -> list[list[int]]:
        """The ids of each text."""
        return [text.ids for text in self.texts]


class LoraTrainer(Trainer):  # type: ignore[misc]
    """A Trainer that validates through the same `TorchPredictor` that answers later.

    Attributes:
        validation_logits: float32 [n, labels] of the latest validation.
        history: Of each validation, the metrics with the epoch's mean training loss.
        validation_seconds: Time spent validating.
    """

    def __init__(
        self, predictor: TorchPredictor, validation: EncodedSplit, progress_bar: ProgressBar, **arguments: Any
    ) -> None:
        super().__init__(model=predictor.model, data_collator=collate, callbacks=[progress_bar], **arguments)
        self.control: Any
        self.predictor = predictor
        self.validation = validation
        self.metric = SentimentMetric()
        self.progress_bar = progress_bar
        self.validation_logits: npt.NDArray[np.float32] = np.empty((0, predictor.labels), np.float32)
        self.history: list[dict[str, float]] = []
        self.validation_seconds = 0.0
        self._logged = 0

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Validate on the whole validation set; called by the Trainer after each epoch."""
        started = time.monotonic()
        with _without_autocast(self.model):
            self.validation_logits = self.predictor.logits(self.validation.token_ids)
        scores: dict[str, float] = self.metric.compute(
            predictions=self.validation_logits.argmax(axis=1), references=self.validation.labels
        )
        losses = [entry["loss"] for entry in self.state.log_history[self._logged :] if "loss" in entry]
        self._logged = len(self.state.log_history)
        self.history.append({"loss": float(np.mean(losses)), **scores})
        _logger.info(
            f"epoch {len(self.history)}/{self.args.num_train_epochs}: loss {self.history[-1]['loss']:.3f}, validation "
            f"accuracy {scores['accuracy']:.3f}, F1 {scores['f1']:.3f}"
        )
        metrics = {f"{metric_key_prefix}_{name}": score for name, score in scores.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        self.validation_seconds += time.monotonic() - started
        return metrics


@contextlib.contextmanager
def _without_autocast(model: Any) -> Iterator[None]:
    """Answers are computed in fp32: set aside the `forward` under autocast that Accelerate gave the model."""
    wrapped = model.__dict__.pop("forward", None)
    try:
        yield
    finally:
        if wrapped is not None:
            model.__dict__["forward"] = wrapped


class ProgressBar(TrainerCallback):  # type: ignore[misc]
    """Step, loss, texts/s and time left, live."""

    def __init__(self, texts: int, config: TrainConfig) -> None:
        self.texts = texts
        self.batch_size = config.batch_size
        self.progress = Progress("training", texts * config.epochs)
        self.loss = float("nan")

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the bar."""
        self.progress.__enter__()

    def on_log(self, args: Any, state: Any, control: Any, logs: Optional[dict[str, float]] = None, **_: Any) -> None:
        """Take up a step's loss, smoothed."""
        loss = (logs or {}).get("loss")
        if loss is not None:
            self.loss = loss if np.isnan(self.loss) else 0.9 * self.loss + 0.1 * loss

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count the texts of one optimiser step."""
        left_in_epoch = self.texts - self.progress.done % self.texts
        loss = "" if np.isnan(self.loss) else f"  loss {self.loss:.3f}"
        status = f"step {state.global_step}/{state.max_steps}{loss}"
        self.progress.advance(min(self.batch_size, left_in_epoch), status)

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Say why the bar stands still."""
        self.progress.advance(0, "validating")

    def close(self) -> None:
        """Close the bar, however the training ended."""
        self.progress.__exit__(None, None, None)


def build_trainer(
    predictor: TorchPredictor,
    train: EncodedSplit,
    validation: EncodedSplit,
    config: TrainConfig,
    device: Device,
    precision: Precision,
    folder: Path,
) -> LoraTrainer:
    """A Trainer for this configuration, that writes nothing to `folder`, which it wants to exist."""
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        lr_scheduler_type=config.schedule if config.schedule != "constant" else "constant_with_warmup",
        warmup_steps=_warmup_steps(len(train.texts), config),
        bf16=precision == "bf16",
        fp16=precision == "fp16",
        use_cpu=device.type == "cpu",
        seed=config.seed,
        eval_strategy="epoch",
        save_strategy="no",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        **_group_by_length(),
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several would be DataParallel, and batch_size would mean texts a GPU
    dataset = Dataset.from_dict({"input_ids": train.token_ids, "labels": train.labels})
    trainer = LoraTrainer(
        predictor,
        validation,
        ProgressBar(len(train.texts), config),
        args=arguments,
        train_dataset=dataset,
        eval_dataset=Dataset.from_dict({"labels": validation.labels}),
    )
    for callback in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(callback)
    return trainer


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, torch.Tensor]:
    """A padded batch: ids and mask int64 [n, longest], labels int64 [n]."""
    ids, mask = padded([row["input_ids"] for row in rows])
    return {"input_ids": ids, "attention_mask": mask, "labels": torch.tensor([row["labels"] for row in rows])}


def _warmup_steps(texts: int, config: TrainConfig) -> int:
    steps = math.ceil(texts / config.batch_size) * config.epochs
    return round(config.warmup * steps)


def _group_by_length() -> dict[str, Any]:
    """Batches of like length: the setting was renamed in Transformers 5."""
    if any(field.name == "train_sampling_strategy" for field in dataclasses.fields(TrainingArguments)):
        return {"train_sampling_strategy": "group_by_length"}
    return {"group_by_length": True}
