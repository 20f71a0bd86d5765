"""Transformers' Trainer, set up for LoRA on a small encoder."""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Callable, Optional

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F  # noqa: N812 - as PyTorch's users call it
from datasets import Dataset
from torch.utils.data import DataLoader
from transformers import Trainer, TrainingArguments
from transformers.trainer_callback import PrinterCallback, ProgressCallback

from sentilora.artifacts import LOG_FILE
from sentilora.config import TrainConfig
from sentilora.errors import UserError
from sentilora.inference.allocation import give_back_freed_blocks
from sentilora.modeling.packed import PackedDistilBert
from sentilora.training.callbacks import JsonLog, ProgressBar
from sentilora.training.checkpoints import (
    CheckpointEvery,
    Checkpoints,
    StopRequest,
    TrainingProgress,
    load_progress,
    restore_adapter,
    restore_optimizer,
    restore_random_states,
)
from sentilora.training.log import StepLog
from sentilora.training.metric import SentimentMetric
from sentilora.training.objective import Objective
from sentilora.training.parts import PARTS_AT_ONCE, TOKENS_A_PART, PartWorkers, even_parts
from sentilora.training.preparation import Preparation
from sentilora.training.processes import without_launched_precision
from sentilora.training.sampling import EpochSampler

_logger = logging.getLogger("sentilora")

LARGEST_GRADIENT = 1.0  # its norm; larger ones are scaled down
PACKED_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16}


class DivergedError(UserError):
    """The loss or the answers are no numbers any more."""

    def __init__(self) -> None:
        super().__init__("training diverged (not a number): lower the setting 'learning_rate'")


class LoraTrainer(Trainer):  # type: ignore[misc]
    """A Trainer that validates through the same `TorchPredictor` that answers later.

    Every process sees every step whole and takes its share of the texts; their gradients are added up.

    Attributes:
        validation_logits: float32 [n, labels] of the latest validation.
        history: Of each validation, the metrics with the epoch's mean training loss.
        losses: Of the steps since the latest validation.
    """

    def __init__(
        self,
        prepared: Preparation,
        config: TrainConfig,
        checkpoints: Checkpoints,
        arguments: TrainingArguments,
    ) -> None:
        model = prepared.predictor.model
        self.stop = StopRequest()
        self.progress_bar = ProgressBar(len(prepared.train.texts), config)
        self.processes = checkpoints.processes
        self.step_log = StepLog(checkpoints.folder.parent / LOG_FILE)
        super().__init__(
            model=model,
            args=arguments,
            data_collator=collate,
            train_dataset=Dataset.from_dict({"input_ids": prepared.train.token_ids, "labels": prepared.train.labels}),
            eval_dataset=Dataset.from_dict({"labels": prepared.validation.labels}),
            optimizers=(_optimizer(model, config), None),
            callbacks=[
                self.progress_bar,
                CheckpointEvery(config.checkpoint_steps, self.stop, self.processes),
                JsonLog(self.step_log),
            ],
        )
        for callback in (PrinterCallback, ProgressCallback):
            self.remove_callback(callback)
        self.control: Any
        self.predictor = prepared.predictor
        self.validation = prepared.validation
        self.checkpoints = checkpoints
        self.config = config
        self.packed = (
            PackedDistilBert(model, PACKED_DTYPES[prepared.precision]) if prepared.batching == "packed" else None
        )
        on_cpu = prepared.predictor.device.type == "cpu"
        self.workers = PartWorkers() if self.packed is not None and on_cpu else None
        self.objective = Objective.of(config, prepared.train.labels)
        self.metric = SentimentMetric()
        self.validation_logits: npt.NDArray[np.float32] = np.empty((0, self.predictor.labels), np.float32)
        self.history: list[dict[str, float]] = []
        self.losses: list[float] = []

    def get_train_dataloader(self) -> DataLoader[Any]:
        """Whole steps, in an order that a resumed training finds again."""
        lengths = [len(ids) for ids in self.train_dataset["input_ids"]]
        sampler = EpochSampler(
            lengths,
            self.config.batch_size,
            self.config.seed,
            epoch=lambda: int(self.state.global_step) // self.steps_an_epoch,
            grouped=self.packed is None,
        )
        return DataLoader(self.train_dataset, self.config.batch_size, sampler=sampler, collate_fn=collate)

    def training_step(self, model: Any, inputs: dict[str, Any], num_items_in_batch: Any = None) -> torch.Tensor:
        """Add up the gradients of a step's objective, part by part, so that memory is bounded."""
        self.model.train()
        token_ids, labels = inputs["input_ids"], inputs["labels"].to(self.args.device)
        trained = [parameter for parameter in self.model.parameters() if parameter.requires_grad]
        if self.workers is not None:
            total = self.workers.add_gradients(self._loss_of(token_ids, labels), list(self._parts(token_ids)), trained)
        else:
            total = torch.zeros((), device=labels.device)
            for rows in self._parts(token_ids):
                with self.compute_loss_context_manager():
                    loss = self._loss_of(token_ids, labels)(rows)
                self.accelerator.backward(loss)
                total += loss.detach()
        self.processes.sum_gradients(trained)
        loss_of_step = self.processes.sum(total).item()
        if math.isfinite(loss_of_step):
            self.losses.append(loss_of_step)
        elif not self.args.fp16:  # whose scaler skips a step that overflows
            raise DivergedError
        return total

    def _parts(self, token_ids: Sequence[Sequence[int]]) -> Iterator[list[int]]:
        """This process's rows of a step, in parts that fit the memory."""
        mine = self.processes.share(len(token_ids))
        size = max(1, math.ceil(len(mine) / self.config.gradient_accumulation_steps))
        for start in range(0, len(mine), size):
            part = mine[start : start + size]
            if self.packed is None:
                yield list(part)
                continue
            lengths = [len(token_ids[row]) for row in part]
            for rows in even_parts(lengths, TOKENS_A_PART, PARTS_AT_ONCE if self.workers is not None else 1):
                yield [part[row] for row in rows]

    def _loss_of(self, token_ids: Sequence[Sequence[int]], labels: torch.Tensor) -> Callable[..., torch.Tensor]:
        """The share of a step's loss that some rows have, under a seed of their own where they are packed."""

        def loss_of(rows: Sequence[int], seed: Optional[int] = None) -> torch.Tensor:
            some = [token_ids[row] for row in rows]
            logits = self.predictor.padded_logits(some) if self.packed is None else self.packed(some, seed)
            return self.objective.of_part(logits, labels[list(rows)], labels)

        return loss_of

    def floating_point_ops(self, inputs: dict[str, Any]) -> int:
        """Not counted: the Trainer would want padded tensors."""
        return 0

    def evaluate(
        self, eval_dataset: Any = None, ignore_keys: Any = None, metric_key_prefix: str = "eval"
    ) -> dict[str, float]:
        """Validate on the whole validation set; called by the Trainer after each epoch."""
        give_back_freed_blocks()  # or the pieces that no step of the next epoch fits into would add up
        with _without_autocast(self.model):
            token_ids = self.validation.token_ids
            mine = self.predictor.logits([token_ids[row] for row in self.processes.share(len(token_ids))], self._obey)
        self.validation_logits = self.processes.gathered(len(token_ids), mine)
        if not (self.losses and np.isfinite(self.validation_logits).all()):
            raise DivergedError
        scores: dict[str, float] = self.metric.compute(
            predictions=self.validation_logits.argmax(axis=1), references=self.validation.labels
        )
        loss = F.cross_entropy(torch.from_numpy(self.validation_logits), torch.from_numpy(self.validation.labels))
        self.history.append({"loss": float(np.mean(self.losses)), "validation_loss": loss.item(), **scores})
        self.losses = []
        _logger.info(
            f"epoch {len(self.history)}/{self.args.num_train_epochs}: loss {self.history[-1]['loss']:.3f}, validation "
            f"loss {loss:.3f}, accuracy {scores['accuracy']:.3f}, F1 {scores['f1']:.3f}"
        )
        metrics = {f"{metric_key_prefix}_{name}": score for name, score in {"loss": loss.item(), **scores}.items()}
        self.log(metrics)
        self.control = self.callback_handler.on_evaluate(self.args, self.state, self.control, metrics)
        if self.config.best_by is not None and self.best_epoch == len(self.history):
            self.checkpoints.save_best()
        if self.exhausted:
            self.control.should_training_stop = True
        return metrics

    @property
    def best_epoch(self) -> int:
        """The first epoch, from 1, with the best validation by the metric chosen; the latest where none is."""
        if self.config.best_by is None:
            return len(self.history)
        metric, sign = ("validation_loss", -1) if self.config.best_by == "loss" else (self.config.best_by, 1)
        scores = [sign * validation[metric] for validation in self.history]
        return scores.index(max(scores)) + 1 if scores else 0

    @property
    def exhausted(self) -> bool:
        """Whether so many epochs have brought nothing better that the training is to end."""
        patience = self.config.early_stopping
        return patience is not None and len(self.history) - self.best_epoch >= patience

    @property
    def steps_an_epoch(self) -> int:
        """Optimiser steps of one pass over the training texts."""
        return math.ceil(len(self.train_dataset) / self.config.batch_size)

    @property
    def steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self.steps_an_epoch * self.config.epochs

    def begin(self, checkpoint: Optional[Path]) -> bool:
        """Begin, or take up a checkpoint and validate what it has not. Returns whether anything is left to train."""
        if checkpoint is None:
            self._forget_after(0)
            return True
        progress = load_progress(checkpoint)
        self.history, self.losses = progress.history, progress.losses
        self.progress_bar.seconds = progress.seconds
        restore_adapter(self.model, checkpoint)
        self.state.global_step = progress.step
        self.state.epoch = progress.step / self.steps_an_epoch
        self._forget_after(progress.step)
        if len(self.history) < progress.step // self.steps_an_epoch:
            self.evaluate()
        return progress.step < self.steps and not self.exhausted

    def _forget_after(self, step: int) -> None:
        """Trim the log before anything is added to it: a torn last line would swallow the next."""
        if self.processes.main:
            self.step_log.forget_after(step, len(self.history) * self.steps_an_epoch)

    def _obey(self, _: int) -> None:
        """Several processes stop together, after a step; one may stop in the midst of a validation."""
        if self.processes.count == 1:
            self.stop.obey()

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        progress = TrainingProgress(
            step=self.state.global_step,
            data=self.checkpoints.data,
            conditions=self.checkpoints.conditions,
            seconds=self.progress_bar.seconds,
            history=self.history,
            losses=self.losses,
            groups=self.optimizer.state_dict()["param_groups"],
            schedule=self.lr_scheduler.state_dict(),
            scaler={} if self.accelerator.scaler is None else self.accelerator.scaler.state_dict(),
        )
        self.state.log_history = []  # of every step; what is needed of it is in `progress`
        self.checkpoints.save(progress, self.optimizer, self.state)

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: Any = None) -> None:
        """Nothing: `begin` did."""

    def _load_optimizer_and_scheduler(self, checkpoint: Optional[str]) -> None:
        if checkpoint is not None:
            restore_optimizer(self.optimizer, self.lr_scheduler, self.accelerator.scaler, Path(checkpoint))

    def _load_rng_state(self, checkpoint: Optional[str]) -> None:
        if checkpoint is not None:
            restore_random_states(Path(checkpoint), self.processes)


@contextlib.contextmanager
def _without_autocast(model: Any) -> Iterator[None]:
    """Answers are computed in fp32: set aside the `forward` under autocast that Accelerate gave the model."""
    wrapped = model.__dict__.pop("forward", None)
    try:
        yield
    finally:
        if wrapped is not None:
            model.__dict__["forward"] = wrapped


@without_launched_precision()
def build_trainer(prepared: Preparation, config: TrainConfig, checkpoints: Checkpoints) -> LoraTrainer:
    """A Trainer for this configuration, that leaves its checkpoints where `checkpoints` says."""
    arguments = TrainingArguments(
        output_dir=str(checkpoints.folder.parent),
        num_train_epochs=config.epochs,
        per_device_train_batch_size=config.batch_size,
        learning_rate=config.learning_rate,
        weight_decay=config.weight_decay,
        max_grad_norm=LARGEST_GRADIENT,
        lr_scheduler_type=config.schedule if config.schedule != "constant" else "constant_with_warmup",
        warmup_steps=_warmup_steps(len(prepared.train.texts), config),
        # Under autocast; what is packed has its weights in bf16.
        bf16=prepared.precision == "bf16" and prepared.batching == "padded",
        fp16=prepared.precision == "fp16",
        use_cpu=prepared.predictor.device.type == "cpu",
        # Each process draws dropout of its own; what they share, the new adapter and head, is drawn already.
        seed=(config.seed + checkpoints.processes.rank) % 2**32,
        eval_strategy="epoch",
        save_strategy="no",
        logging_steps=1,
        logging_nan_inf_filter=False,
        report_to=list(config.report_to) or "none",
        disable_tqdm=True,
    )
    arguments._n_gpu = min(arguments.n_gpu, 1)  # several would be DataParallel, and batch_size would mean texts a GPU
    return LoraTrainer(prepared, config, checkpoints, arguments)


def collate(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
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
