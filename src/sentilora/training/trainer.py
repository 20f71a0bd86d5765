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
import torch.nn.functional as F  # noqa: N812 - as PyTorch's users call it
from datasets import Dataset
from transformers import Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from sentilora.config import TrainConfig
from sentilora.modeling.devices import Batching, Device, Precision
from sentilora.modeling.packed import PackedDistilBert, token_budgets
from sentilora.modeling.predictor import TorchPredictor, padded
from sentilora.progress import Progress
from sentilora.text import EncodedText
from sentilora.training.metric import SentimentMetric

_logger = logging.getLogger("sentilora")

_TOKENS_A_PART = 2048  # on two CPU cores the fastest of 1024, 2048 and 4096
PACKED_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


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

    Args:
        predictor: Of the model to train.
        validation: What to validate on.
        progress_bar: Advanced with each step.
        packed: Does the forward pass of training, if the texts of a step are to be packed.
        label_smoothing: In [0, 1) (Szegedy et al., 2016, section 7).

    Attributes:
        validation_logits: float32 [n, labels] of the latest validation.
        history: Of each validation, the metrics with the epoch's mean training loss.
        validation_seconds: Time spent validating.
    """

    def __init__(
        self,
        predictor: TorchPredictor,
        validation: EncodedSplit,
        progress_bar: ProgressBar,
        packed: Optional[PackedDistilBert],
        label_smoothing: float,
        **arguments: Any,
    ) -> None:
        collator = collate if packed is None else _unpadded
        super().__init__(model=predictor.model, data_collator=collator, callbacks=[progress_bar], **arguments)
        self.control: Any
        self.predictor = predictor
        self.validation = validation
        self.packed = packed
        self.smoothing = label_smoothing
        self.metric = SentimentMetric()
        self.progress_bar = progress_bar
        self.validation_logits: npt.NDArray[np.float32] = np.empty((0, predictor.labels), np.float32)
        self.history: list[dict[str, float]] = []
        self.validation_seconds = 0.0
        self._logged = 0

    def compute_loss(
        self, model: Any, inputs: dict[str, Any], return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """Mean cross-entropy of a padded batch."""
        labels = inputs.pop("labels")
        output = model(**inputs)
        loss = F.cross_entropy(output.logits.float(), labels, label_smoothing=self.smoothing)
        return (loss, output) if return_outputs else loss

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Add up the gradients of a batch's mean cross-entropy; if packed, in parts that bound the memory."""
        if self.packed is None:
            loss: torch.Tensor = super().training_step(model, inputs, num_items_in_batch)
            return loss
        model.train()
        token_ids, labels = inputs["input_ids"], inputs["labels"].to(model.device)
        total = torch.zeros((), device=model.device)
        for rows in token_budgets([len(ids) for ids in token_ids], _TOKENS_A_PART):
            logits = self.packed([token_ids[row] for row in rows])
            loss = F.cross_entropy(logits, labels[rows], label_smoothing=self.smoothing, reduction="sum") / len(labels)
            self.accelerator.backward(loss)
            total += loss.detach()
        return total

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: the Trainer would want padded tensors."""
        return 0

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
    batching: Batching,
    folder: Path,
) -> LoraTrainer:
    """A Trainer for this configuration, that writes nothing to `folder`, which it wants to exist."""
    packed = PackedDistilBert(predictor.model, PACKED_DTYPES[precision]) if batching == "packed" else None
    arguments = TrainingArguments(
        output_dir=str(folder),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        lr_scheduler_type=config.schedule if config.schedule != "constant" else "constant_with_warmup",
        warmup_steps=_warmup_steps(len(train.texts), config),
        bf16=precision == "bf16" and packed is None,  # under autocast; what is packed has the weights in bf16
        fp16=precision == "fp16",
        use_cpu=device.type == "cpu",
        seed=config.seed,
        eval_strategy="epoch",
        save_strategy="no",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to="none",
        disable_tqdm=True,
        **(_group_by_length() if packed is None else {}),
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several would be DataParallel, and batch_size would mean texts a GPU
    dataset = Dataset.from_dict({"input_ids": train.token_ids, "labels": train.labels})
    trainer = LoraTrainer(
        predictor,
        validation,
        ProgressBar(len(train.texts), config),
        packed,
        config.label_smoothing,
        args=arguments,
        optimizers=(_optimizer(predictor.model, config), None),
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


def _unpadded(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The ids of each text as they are, and labels int64 [n]."""
    return {"input_ids": [row["input_ids"] for row in rows], "labels": torch.tensor([row["labels"] for row in rows])}


def _optimizer(model: torch.nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """AdamW over what is trained, the head at its own learning rate."""
    adapter: list[torch.nn.Parameter] = []
    head: list[torch.nn.Parameter] = []
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            (adapter if ".lora_" in name else head).append(parameter)
    groups = [
        {"params": adapter, "lr": config.learning_rate},
        {"params": head, "lr": config.head_learning_rate or config.learning_rate},
    ]
    return torch.optim.AdamW(groups, weight_decay=config.weight_decay)


def _warmup_steps(texts: int, config: TrainConfig) -> int:
    steps = math.ceil(texts / config.batch_size) * config.epochs
    return round(config.warmup * steps)


def _group_by_length() -> dict[str, Any]:
    """Batches of like length: the setting was renamed in Transformers 5."""
    if any(field.name == "train_sampling_strategy" for field in dataclasses.fields(TrainingArguments)):
        return {"train_sampling_strategy": "group_by_length"}
    return {"group_by_length": True}
