"""Learning to guess hidden tokens, step by step."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Optional

import msgspec
import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 - as PyTorch's users call it
from safetensors.torch import load_file, save

from sentilora.artifacts import new_folder, sha256_of, write_file, write_json
from sentilora.config import PretrainConfig
from sentilora.errors import ModelError, OutputError
from sentilora.modeling.devices import Precision
from sentilora.modeling.packed import PackedMaskedLM
from sentilora.training.checkpoints import moments_in, moments_of, read_progress
from sentilora.training.corpus import Corpus
from sentilora.training.masking import MaskedPiece, Masking
from sentilora.training.parts import PARTS_AT_ONCE, TOKENS_A_PART, PartWorkers, even_parts
from sentilora.training.trainer import LARGEST_GRADIENT, DivergedError

_TOKENS_A_PART = {"cpu": TOKENS_A_PART, "cuda": 32768, "mps": 16384}
_TIMED_STEPS = 3
_TENSORS = "training.safetensors"
_PROGRESS = "training.json"


class HeldOutScores(msgspec.Struct, frozen=True, kw_only=True):
    """How well hidden tokens of held-out texts are guessed.

    Attributes:
        tokens: How many were to be guessed.
        loss: Mean cross-entropy, in nats.
        accuracy: Share that was guessed right, in [0, 1].
    """

    tokens: int
    loss: float
    accuracy: float

    @property
    def perplexity(self) -> float:
        """Among how many equally likely tokens the guess seems to be."""
        return math.exp(self.loss)

    def __str__(self) -> str:
        """One line for a person."""
        return f"loss {self.loss:.3f} (perplexity {self.perplexity:,.1f}), {self.accuracy:.1%} guessed right"


class PretrainProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint knows beside its tensors.

    Attributes:
        step: Optimiser steps done.
        steps: Planned in all.
        data: Fingerprint of the texts.
        base: sha256 of the weights begun with.
        precision: Of the forward and backward pass.
        seconds: Spent in steps.
        before: The scores before the first step.
        tensors: sha256 of the tensors.
    """

    step: int
    steps: int
    data: str
    base: str
    precision: str
    seconds: float
    before: HeldOutScores
    tensors: str = ""


class MaskedLearner:
    """A model, its optimiser, and the texts that it learns from.

    What a step does depends on the weights, the optimiser, the seed and the step's number alone.

    Args:
        model: A `DistilBertForMaskedLM` on its device.
        corpus: The texts.
        masking: Hides tokens of them.
        config: The settings.
        dtype: Of the encoder's activations.
    """

    def __init__(
        self, model: Any, corpus: Corpus, masking: Masking, config: PretrainConfig, dtype: torch.dtype
    ) -> None:
        self.model = model
        self.corpus = corpus
        self.masking = masking
        self.config = config
        self.packed = PackedMaskedLM(model, dtype)
        self.workers = PartWorkers() if model.device.type == "cpu" else None
        self.optimizer = _optimizer(model, config)
        self.batches = list(islice(corpus.batches(config.batch_tokens, config.epochs, config.seed), config.max_steps))

    def plan(self) -> int:
        """How many steps to take: all batches, or as many as fit the minutes at the speed of the first."""
        if self.config.minutes is None:
            return len(self.batches)
        speeds = []
        for step, rows in enumerate(self.batches[:_TIMED_STEPS]):
            began = time.monotonic()
            self._add_gradients(rows, step)
            speeds.append(self._tokens(rows) / (time.monotonic() - began))
        self.optimizer.zero_grad()
        budget = self.config.minutes * 60 * max(speeds)  # the first ones warm up
        tokens = np.cumsum([self._tokens(rows) for rows in self.batches])
        return max(1, int(np.searchsorted(tokens, budget, side="right")))

    def take_step(self, step: int, steps: int) -> dict[str, float]:
        """Learn from one batch: step number `step`, from 0, of so many. Returns what is logged of it.

        Raises:
            DivergedError: The loss is no number any more.
        """
        rate = self._rate(step, steps)
        loss = self._add_gradients(self.batches[step], step)
        if not math.isfinite(loss):
            raise DivergedError
        norm = torch.nn.utils.clip_grad_norm_(self.model.parameters(), LARGEST_GRADIENT)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {"step": step + 1, "loss": loss, "grad_norm": norm.item(), "learning_rate": rate}

    def held_out(self) -> HeldOutScores:
        """Guess hidden tokens of the held-out texts: the same ones whenever it is asked."""
        masked = self.masking(self.corpus.held_out, np.random.default_rng(self.config.seed))
        loss, right, tokens = 0.0, 0, 0
        with torch.inference_mode():
            for rows in self._parts(masked):
                logits, hidden = self._guess([masked[row] for row in rows])
                loss += F.cross_entropy(logits, hidden, reduction="sum").item()
                right += int((logits.argmax(dim=1) == hidden).sum())
                tokens += len(hidden)
        return HeldOutScores(tokens=tokens, loss=loss / tokens, accuracy=right / tokens)

    def save(self, progress: PretrainProgress, path: Path) -> None:
        """Write a checkpoint, whole or not at all."""
        weights = {f"model.{name}": parameter.detach().cpu() for name, parameter in self.model.named_parameters()}
        with new_folder(path, overwrite=True) as temporary:
            write_file(temporary / _TENSORS, save({**weights, **moments_of(self.optimizer)}))
            progress = msgspec.structs.replace(progress, tensors=sha256_of(temporary / _TENSORS))
            write_json(temporary / _PROGRESS, progress)

    def restore(self, path: Path) -> None:
        """Take up a checkpoint."""
        tensors = load_file(path / _TENSORS)
        with torch.no_grad():
            for name, parameter in self.model.named_parameters():
                parameter.copy_(tensors[f"model.{name}"])
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": moments_in(tensors), "param_groups": groups})

    def tokens_of(self, start: int, end: int) -> int:
        """Tokens of the batches of some steps."""
        return sum(self._tokens(rows) for rows in self.batches[start:end])

    def _tokens(self, rows: Sequence[int]) -> int:
        return sum(len(self.corpus.train[row]) for row in rows)

    def _add_gradients(self, rows: Sequence[int], step: int) -> float:
        """Add the gradients of the mean loss over a batch's hidden tokens, part by part; returns that loss."""
        masked = self.masking([self.corpus.train[row] for row in rows], np.random.default_rng((self.config.seed, step)))
        tokens = sum(len(piece.places) for piece in masked)

        def loss_of(part: Sequence[int], _: int = 0) -> torch.Tensor:
            logits, hidden = self._guess([masked[row] for row in part])
            return F.cross_entropy(logits, hidden, reduction="sum") / tokens

        parts = self._parts(masked)
        if self.workers is not None:
            return self.workers.add_gradients(loss_of, parts, self.model.parameters()).item()
        total = 0.0
        for part in parts:
            loss = loss_of(part)
            loss.backward()  # type: ignore[no-untyped-call]
            total += loss.item()
        return total

    def _parts(self, masked: Sequence[MaskedPiece]) -> list[list[int]]:
        """Rows in parts that fit the memory."""
        at_once = PARTS_AT_ONCE if self.workers is not None else 1
        return even_parts([len(piece.ids) for piece in masked], _TOKENS_A_PART[self.model.device.type], at_once)

    def _guess(self, part: Sequence[MaskedPiece]) -> tuple[torch.Tensor, torch.Tensor]:
        """Logits, float32 [m, vocabulary], of the hidden tokens, int64 [m]."""
        logits = self.packed([piece.ids for piece in part], [piece.places for piece in part])
        hidden = [token for piece in part for token in piece.hidden]
        return logits, torch.tensor(hidden, device=logits.device)

    def _rate(self, step: int, steps: int) -> float:
        rising = round(self.config.warmup * steps)
        share = (step + 1) / (rising + 1) if step < rising else (steps - step) / (steps - rising)
        return self.config.learning_rate * share


def newest_checkpoint(
    folder: Path, data: str, base: str, precision: Precision
) -> Optional[tuple[Path, PretrainProgress]]:
    """The newest checkpoint in `folder`, if there is any, checked to be whole and of these texts, base and precision.

    Raises:
        OutputError: It was made of other texts or another base, or in another precision.
        ModelError: A file of it is damaged, or of another version.
    """
    written = sorted(folder.glob("step-*"))
    if not written:
        return None
    path = written[-1]
    progress = read_progress(path / _PROGRESS, PretrainProgress)
    if sha256_of(path / _TENSORS) != progress.tensors:
        raise ModelError(f"{path / _TENSORS} is damaged: remove {path}, or pass --overwrite to begin anew")
    reason = None
    if progress.data != data:
        reason = "the texts have changed"
    elif progress.base != base:
        reason = "the base is another one"
    elif progress.precision != precision:
        reason = f"it was begun in {progress.precision}, and would go on in {precision}"
    if reason is not None:
        raise OutputError(
            f"{folder.parent} holds an unfinished pretraining that cannot go on: {reason}; "
            "choose another --output, or pass --overwrite to begin anew"
        )
    return path, progress


def _optimizer(model: torch.nn.Module, config: PretrainConfig) -> torch.optim.Optimizer:
    """AdamW as Gururangan et al., 2020, appendix B, have it; biases and normalisations do not decay."""
    parameters = list(model.parameters())
    groups = [
        {"params": [each for each in parameters if each.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [each for each in parameters if each.ndim == 1], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98), eps=1e-6, fused=True)
