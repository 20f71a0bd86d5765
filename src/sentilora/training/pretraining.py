"""Domain-adaptive pretraining: an encoder reads unlabelled texts before it is adapted with LoRA.

Sun et al., 2019, How to fine-tune BERT for text classification, section 5.4; Gururangan et al., 2020, Don't stop
pretraining.
"""

from __future__ import annotations

import logging
import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional

import msgspec

from sentilora.artifacts import (
    CHECKPOINT_FOLDER,
    LOG_FILE,
    PRETRAINING_RECORD,
    README,
    WEIGHTS,
    BaseReference,
    PathLike,
    refuse_existing,
    refuse_replacing,
    run_folder,
    sha256_of,
    write_file,
    write_json,
)
from sentilora.config import PretrainConfig, checked, load_pretrain_config
from sentilora.errors import ConfigError, UserError
from sentilora.modeling.base import Base, find_base
from sentilora.modeling.devices import Device, Precision, choose_device, choose_precision
from sentilora.modeling.masked_lm import load_masked_lm, write_masked_lm
from sentilora.modeling.pretrained import load_tokenizer
from sentilora.notes import Notes
from sentilora.progress import Progress
from sentilora.tables import name_of
from sentilora.text import with_cleaning
from sentilora.training.base_card import base_readme
from sentilora.training.begun import claim
from sentilora.training.checkpoints import InterruptedTrainingError, StopRequest
from sentilora.training.corpus import Texts, read_corpus
from sentilora.training.log import StepLog
from sentilora.training.masked_learning import HeldOutScores, MaskedLearner, PretrainProgress, newest_checkpoint
from sentilora.training.masking import Masking
from sentilora.training.memory import few_kernels_kept, freed_memory_kept
from sentilora.training.run import versions
from sentilora.training.trainer import PACKED_DTYPES, DivergedError

_logger = logging.getLogger("sentilora")

_SECONDS_BETWEEN_CHECKPOINTS = 120.0


class PretrainRecord(msgspec.Struct, frozen=True, kw_only=True):
    """What `pretraining.json` says of a base.

    Attributes:
        base: The encoder it began with.
        weights: sha256 of the encoder it became.
        texts: What was read, in one line.
        steps: Optimiser steps.
        tokens: Read in them, [CLS] and [SEP] included.
        before: How well hidden tokens of held-out texts were guessed at first.
        after: The same at the end.
        device: Where it was trained.
        precision: Of the forward and backward pass.
        seconds: Spent in steps.
        tokens_per_second: Over the same time.
        notes: What was assumed or fell back.
        versions: Of what it was made with.
    """

    base: BaseReference
    weights: str
    texts: str
    steps: int
    tokens: int
    before: HeldOutScores
    after: HeldOutScores
    device: str
    precision: str
    seconds: float
    tokens_per_second: float
    notes: tuple[str, ...]
    versions: dict[str, str]


@dataclass(frozen=True)
class PretrainedBase:
    """A finished pretraining.

    Attributes:
        folder: A base, as `--base` takes it.
        config: The exact configuration.
        record: What `pretraining.json` says.
    """

    folder: Path
    config: PretrainConfig
    record: PretrainRecord


def pretrain(
    texts: Texts,
    config: Optional[PretrainConfig] = None,
    *,
    output: PathLike = "bases/latest",
    overwrite: bool = False,
    **settings: Any,
) -> PretrainedBase:
    """Have an encoder guess hidden tokens of unlabelled texts, and leave a base that knows their language better.

    All weights are trained, on texts packed end to end; texts longer than `max_length` are cut into pieces, and nothing
    is thrown away.

    Args:
        texts: A file of rows, anything that `read_unlabelled` reads, or the texts themselves.
        config: The whole configuration; None means the defaults with `settings` over them.
        output: The base's folder. It appears when everything in it is written and read back; until then it grows beside
            it, as `NAME.unfinished`, from which the same call goes on if this one is cut short: bit for bit on a CPU.
        overwrite: Whether a folder at `output` may be replaced, and a pretraining begun there with other settings
            dropped.
        **settings: Fields of `PretrainConfig` by name, such as `base="embedded", minutes=40`; only without `config`.

    Returns:
        The base, as `train(base=...)` takes its folder, and how well hidden tokens are guessed before and after.

    Raises:
        ConfigError: A setting is unknown or out of range, or does not fit the base.
        DataError: There are no such texts, or too few.
        ModelError: The base is not there, damaged, or no DistilBERT.
        HubError: The base or the texts are on the Hub, which cannot be reached.
        OutputError: `output` exists, or a pretraining was begun there with other settings or texts, and `overwrite` is
            false; or the disk is full.
        DivergedError: The loss is no number any more: the learning rate is too high.
        InterruptedTrainingError: The user stopped it; a checkpoint is left.
        ParityError: What was written is not what was trained.
    """
    if config is not None and not isinstance(config, PretrainConfig):
        raise TypeError(f"the second argument is a PretrainConfig, not a {type(config).__name__}: pretrain(texts, ...)")
    if config is not None and settings:
        raise TypeError("give a config or settings, not both")
    config = load_pretrain_config(overrides=settings) if config is None else checked(config)
    folder = Path(output)
    refuse_existing(folder, overwrite)
    few_kernels_kept()
    notes = Notes()
    device = choose_device(config.device, notes)
    precision = _precision(config, device, notes)
    base = find_base(config.base, notes)
    refuse_replacing(folder, [base.folder, *([texts] if isinstance(texts, (str, os.PathLike)) else [])])
    tokenizer = with_cleaning(load_tokenizer(base.folder))
    corpus = read_corpus(texts, config, tokenizer)
    _logger.info(f"pretraining: {corpus.description}")
    frequencies = corpus.frequencies(tokenizer.get_vocab_size())
    model = load_masked_lm(base, tokenizer, frequencies, config.seed, notes).to(device.type)
    if config.max_length > model.config.max_position_embeddings:
        raise ConfigError(
            f"setting 'max_length': {base.reference.id} has {model.config.max_position_embeddings} positions, "
            f"not {config.max_length}"
        )
    _logger.info(f"model: {base.reference.id}, all parameters trained; {device.type}, {precision}")
    masking = Masking.of(tokenizer, config.mask_share)
    learner = MaskedLearner(model, corpus, masking, config, PACKED_DTYPES[precision])
    with run_folder(folder, overwrite) as growing:
        claim(growing, config, load_pretrain_config, overwrite)
        progress = _begin(learner, growing, base, precision, overwrite, notes)
        progress = _learn(learner, progress, growing)
        after = learner.held_out()
        if after.loss > progress.before.loss:
            notes.say("held-out texts are guessed worse than before: give it more texts, minutes or epochs")
        write_masked_lm(model, tokenizer, growing)
        record = PretrainRecord(
            base=base.reference,
            weights=sha256_of(growing / WEIGHTS),
            texts=corpus.description,
            steps=progress.steps,
            tokens=learner.tokens_of(0, progress.steps),
            before=progress.before,
            after=after,
            device=device.type,
            precision=precision,
            seconds=progress.seconds,
            tokens_per_second=learner.tokens_of(0, progress.steps) / progress.seconds,
            notes=tuple(notes),
            versions=versions(),
        )
        write_file(growing / README, base_readme(base.reference, corpus.description, name_of(texts)).encode())
        write_json(growing / PRETRAINING_RECORD, record)
    shutil.rmtree(folder / CHECKPOINT_FOLDER)  # now that the base is in its place
    _logger.info(f"held-out texts before: {progress.before}")
    _logger.info(f"held-out texts after:  {after}")
    return PretrainedBase(folder, config, record)


def _precision(config: PretrainConfig, device: Device, notes: Notes) -> Precision:
    chosen = choose_precision(config.precision, device, Notes())
    if chosen == "fp16":
        notes.say("this GPU has no native bf16: pretraining in fp32")
        return "fp32"
    return chosen


def _begin(
    learner: MaskedLearner, growing: Path, base: Base, precision: Precision, overwrite: bool, notes: Notes
) -> PretrainProgress:
    """Where to go on from: the newest checkpoint, or the beginning, with its steps planned."""
    checkpoints, data = growing / CHECKPOINT_FOLDER, learner.corpus.fingerprint
    try:
        newest = newest_checkpoint(checkpoints, data, base.reference.sha256, precision)
    except UserError:
        if not overwrite:
            raise
        shutil.rmtree(checkpoints)
        newest = None
    log = StepLog(growing / LOG_FILE)
    if newest is not None:
        path, progress = newest
        notes.say(f"resumed from {growing.name}/{checkpoints.name}/{path.name}")
        learner.restore(path)
        log.forget_after(progress.step)
        return progress
    log.forget_after(0)
    before = learner.held_out()
    _logger.info(f"held-out texts: {before}")
    steps = learner.plan()
    if steps < len(learner.batches):
        notes.say(f"{learner.config.minutes:g} minutes are planned as {steps:,} of {len(learner.batches):,} steps")
    return PretrainProgress(
        step=0, steps=steps, data=data, base=base.reference.sha256, precision=precision, seconds=0.0, before=before
    )


def _learn(learner: MaskedLearner, progress: PretrainProgress, growing: Path) -> PretrainProgress:
    """Take the steps that are left, with a checkpoint every now and then.

    Raises:
        InterruptedTrainingError: The user stopped it.
        DivergedError: It diverged; no checkpoint is left.
    """
    log, stop = StepLog(growing / LOG_FILE), StopRequest()
    latest = time.monotonic()
    bar = Progress("pretraining", learner.tokens_of(0, progress.steps), unit="tokens")
    try:
        with stop.listening(), bar, freed_memory_kept():
            bar.skip(learner.tokens_of(0, progress.step))
            smoothed: Optional[float] = None
            while progress.step < progress.steps:
                began = time.monotonic()
                line = learner.take_step(progress.step, progress.steps)
                log.append(line)
                now = time.monotonic()
                progress = msgspec.structs.replace(
                    progress, step=progress.step + 1, seconds=progress.seconds + now - began
                )
                smoothed = line["loss"] if smoothed is None else 0.95 * smoothed + 0.05 * line["loss"]
                status = f"step {progress.step}/{progress.steps}  loss {smoothed:.3f}"
                bar.advance(learner.tokens_of(progress.step - 1, progress.step), status)
                if _due(learner.config, progress, now - latest) or stop.made:
                    latest = now
                    _save(learner, progress, growing / CHECKPOINT_FOLDER)
                stop.obey()
    except KeyboardInterrupt:
        if not any((growing / CHECKPOINT_FOLDER).glob("step-*")):
            raise
        raise InterruptedTrainingError(
            f"interrupted after {progress.step:,} steps: give the same command again to go on from there"
        ) from None
    except DivergedError:
        shutil.rmtree(growing / CHECKPOINT_FOLDER, ignore_errors=True)
        raise
    return progress


def _due(config: PretrainConfig, progress: PretrainProgress, seconds: float) -> bool:
    if progress.step == progress.steps:
        return True
    if config.checkpoint_steps is None:
        return seconds >= _SECONDS_BETWEEN_CHECKPOINTS
    return progress.step % config.checkpoint_steps == 0


def _save(learner: MaskedLearner, progress: PretrainProgress, checkpoints: Path) -> None:
    """Write a checkpoint, then let the older one go: each is four times as large as the base."""
    path = checkpoints / f"step-{progress.step:08d}"
    learner.save(progress, path)
    for old in checkpoints.glob("step-*"):
        if old != path:
            shutil.rmtree(old)
