"""Train an adapter: the whole way from a configuration to a proved run."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import os
import shutil
from pathlib import Path
from typing import Any, Optional

import msgspec
import numpy as np
import torch
from transformers import set_seed

from sentilora.analysis import ClassificationMetrics
from sentilora.artifacts import (
    ADAPTER_FOLDER,
    CHECKPOINT_FOLDER,
    CONFIG_FILE,
    CURVE_FILE,
    LOG_FILE,
    METRICS_FILE,
    VALIDATION_FILE,
    Manifest,
    PathLike,
    refuse_existing,
    run_folder,
    write_file,
    write_json,
)
from sentilora.config import TrainConfig, dump_config, load_config
from sentilora.errors import ConfigError, OutputError, SentiloraError
from sentilora.inference import Classifier
from sentilora.labels import SENTIMENT, LabelMap
from sentilora.modeling.base import find_base, load_pretrained, load_tokenizer
from sentilora.modeling.devices import choose_batching, choose_device, choose_precision
from sentilora.modeling.lora import attach_lora, count_parameters
from sentilora.modeling.packed import packable
from sentilora.modeling.predictor import TorchPredictor
from sentilora.modeling.saving import save_adapter
from sentilora.notes import Notes
from sentilora.tables import (
    FROM_PYTHON,
    Columns,
    LabelledTexts,
    Source,
    Split,
    read_labelled,
    split_labelled,
    subset,
    write_labelled,
)
from sentilora.text import EncodingSummary, TextEncoder, with_cleaning
from sentilora.training.callbacks import JsonLog
from sentilora.training.checkpoints import Checkpoints, InterruptedTrainingError, restore_adapter
from sentilora.training.curve import training_curve
from sentilora.training.run import EpochScores, Run, RunRecord, versions
from sentilora.training.trainer import EncodedSplit, LoraTrainer, build_trainer

_logger = logging.getLogger("sentilora")


def train(
    config: Optional[TrainConfig] = None,
    *,
    data: Optional[Source] = None,
    validation: Optional[Source] = None,
    output: PathLike = "runs/latest",
    overwrite: bool = False,
    **settings: Any,
) -> Run:
    """Train a LoRA adapter and leave a run behind.

    Args:
        config: The whole configuration; None means the defaults with `settings` over them.
        data: In place of the configuration's; also a data frame, which the run's `config.yaml` cannot name.
        validation: The same.
        output: The run's folder. It appears when everything in it is written and proved; until then it grows beside it,
            as `NAME.unfinished`, from which the same call goes on if this one is cut short.
        overwrite: Whether a folder at `output` may be replaced, and a training begun there with other settings dropped.
        **settings: Fields of `TrainConfig` by name, such as `base="embedded", epochs=3, lora={"rank": 8}`;
            only without `config`.

    Returns:
        The run, with the trained classifier ready to answer.

    Raises:
        ConfigError: A setting is unknown or out of range.
        DataError: The data are missing, or do not hold texts of both labels.
        HubError: The base or the data are on the Hub, which cannot be reached.
        OutputError: `output` exists, or a training was begun there with other settings or data, and `overwrite` is
            false; or the disk is full.
        InterruptedTrainingError: The user stopped it; a checkpoint is left.
        ParityError: The saved adapter does not answer as the trained model.
    """
    if config is not None and settings:
        raise TypeError("give a config or settings, not both")
    sources = {"data": data, "validation": validation}
    named = {role: _name_of(source) for role, source in sources.items() if source is not None}
    config = msgspec.structs.replace(config or load_config(overrides=settings), **named)
    folder = Path(output)
    refuse_existing(folder, overwrite)
    notes = Notes()
    device = choose_device(config.device, notes)
    precision = choose_precision(config.precision, device, notes)
    base = find_base(config.base, notes)
    split = _read(
        config, config.data if data is None else data, config.validation if validation is None else validation, notes
    )
    encoder = TextEncoder(with_cleaning(load_tokenizer(base.folder)), config.max_length, config.truncation)
    train_texts, training = _encode(split.train, encoder)
    validation_texts, validating = _encode(split.validation, encoder)
    _logger.info(f"training: {train_texts.describe()}")
    _logger.info(f"validation: {validation_texts.describe()}")
    _logger.info(f"split: {split.how}")
    encoding = EncodingSummary.of(training.texts)
    _logger.info(f"encoding: at most {config.max_length} tokens ({config.truncation}), {encoding}")

    set_seed(config.seed)
    pretrained = load_pretrained(base.folder, SENTIMENT, config.base_dropout)
    if config.max_length > pretrained.config.max_position_embeddings:
        raise ConfigError(
            f"setting 'max_length': {base.reference.id} has {pretrained.config.max_position_embeddings} positions, "
            f"not {config.max_length}"
        )
    model = attach_lora(pretrained, config.lora)
    trained, total = count_parameters(model)
    batching = choose_batching(config.batching, packable(model), device, precision, notes)
    _logger.info(
        f"model: {base.reference.id}, {trained:,} of {total:,} parameters trained; "
        f"{device.type}, {precision}, {batching}"
    )
    predictor = TorchPredictor(model, device, len(SENTIMENT))
    manifest = Manifest(
        kind="adapter",
        labels=SENTIMENT.names,
        max_length=config.max_length,
        truncation=config.truncation,
        base=base.reference,
        notes=tuple(notes),
    )
    classifier = Classifier(predictor, encoder, SENTIMENT, notes=notes)
    with run_folder(folder, overwrite) as growing:
        _claim(growing, config, overwrite)
        checkpoints = Checkpoints(
            growing / CHECKPOINT_FOLDER, classifier, base, manifest, _fingerprint(training, validating)
        )
        trainer = build_trainer(predictor, training, validating, config, device, precision, batching, checkpoints)
        _fit(trainer, notes)
        metrics = ClassificationMetrics.of(validating.labels, trainer.validation_logits.argmax(axis=1))
        manifest = msgspec.structs.replace(manifest, metrics={"n": metrics.n, **metrics.scores()}, notes=tuple(notes))
        parity = save_adapter(
            classifier, base, manifest, growing / ADAPTER_FOLDER, validating.token_ids, trainer.validation_logits
        )
        record = RunRecord(
            training=train_texts.describe(),
            validation=validation_texts.describe(),
            split=split.how,
            encoding=str(encoding),
            device=device.type,
            precision=precision,
            batching=batching,
            trained_parameters=trained,
            total_parameters=total,
            epochs=tuple(EpochScores(epoch=number, **scores) for number, scores in enumerate(trainer.history, start=1)),
            best_epoch=trainer.best_epoch,
            scores=metrics.scores(),
            confusion={name: int(count) for name, count in vars(metrics).items()},
            reload_difference=parity.difference,
            training_seconds=trainer.progress_bar.seconds,
            texts_per_second=len(training.texts) * len(trainer.history) / trainer.progress_bar.seconds,
            notes=tuple(notes),
            versions=versions(),
        )
        write_labelled(validation_texts, growing / VALIDATION_FILE)
        log = JsonLog(growing / LOG_FILE).lines()
        write_file(growing / CURVE_FILE, training_curve(log, trainer.steps // config.epochs))
        write_json(growing / METRICS_FILE, record)
    _logger.info(f"saved: {folder}; reloaded, its logits differ by at most {parity.difference:.1g}")
    return Run(folder, config, record, metrics, classifier, trainer.validation_logits)


def _name_of(source: Source) -> str:
    return os.fspath(source) if isinstance(source, (str, os.PathLike)) else FROM_PYTHON


def _read(config: TrainConfig, data: Source, validation: Optional[Source], notes: Notes) -> Split:
    label_map = None
    if config.label_map is not None:
        label_map = LabelMap.parse(config.label_map)
        notes.say("labels read as " + ", ".join(f"{value} = {name}" for value, name in config.label_map.items()))
    columns = Columns(config.text_column, config.label_column, config.group_column, label_map)
    texts = read_labelled(data, columns)
    if validation is None:
        split = split_labelled(texts, config.validation_fraction, config.seed)
    else:
        columns = dataclasses.replace(columns, group=None)
        split = Split(texts, read_labelled(validation, columns), "validation data of their own")
    split = Split(
        subset(split.train, config.limit, config.seed),
        subset(split.validation, config.validation_limit, config.seed),
        split.how,
    )
    leaked = len(set(split.train.texts) & set(split.validation.texts))
    if leaked:
        notes.say(f"{leaked:,} of the validation texts are training texts too: the validation flatters")
    return split


def _encode(texts: LabelledTexts, encoder: TextEncoder) -> tuple[LabelledTexts, EncodedSplit]:
    """The texts of which the vocabulary knows any token, and their tokens."""
    encoded = encoder.encode(texts.texts)
    rows = [row for row, text in enumerate(encoded) if text.readable]
    readable = texts.only(rows, "no word that the base knows")
    return readable, EncodedSplit([encoded[row] for row in rows], readable.labels)


def _fingerprint(*splits: EncodedSplit) -> str:
    """What tells whether the texts and labels are the same: a sha256 in hexadecimal."""
    digest = hashlib.sha256()
    for split in splits:
        digest.update(msgspec.msgpack.encode((split.token_ids, split.labels.tolist())))
    return digest.hexdigest()


def _claim(folder: Path, config: TrainConfig, overwrite: bool) -> None:
    """Make sure that what grows in `folder` is of this configuration, and note that it is.

    Raises:
        OutputError: It was begun with other settings, and `overwrite` is false.
    """
    path = folder / CONFIG_FILE
    begun = load_config(str(path)) if path.is_file() else config
    changed = [name for name, value in msgspec.structs.asdict(config).items() if value != getattr(begun, name)]
    if changed:
        if not overwrite:
            raise OutputError(
                f"{folder} holds a training begun with other settings ({', '.join(changed)}): give the same to go on, "
                "choose another --output, or pass --overwrite to begin anew"
            )
        shutil.rmtree(folder / CHECKPOINT_FOLDER, ignore_errors=True)
    write_file(path, dump_config(config).encode())


def _fit(trainer: LoraTrainer, notes: Notes) -> None:
    """Train, from the newest checkpoint on where there is one.

    Raises:
        InterruptedTrainingError: The user stopped it.
        SentiloraError: It diverged.
    """
    start = trainer.checkpoints.newest()
    if start is not None:
        notes.say(f"resumed from {start.parent.parent.name}/{start.parent.name}/{start.name}")
    try:
        with trainer.stop.listening():
            if start is None or trainer.go_on_from(start):
                trainer.train(resume_from_checkpoint=start and str(start))
        trainer.stop.obey()
    except KeyboardInterrupt:
        left = trainer.checkpoints.newest()
        if left is None:
            raise
        raise InterruptedTrainingError(
            f"interrupted: {left} holds what was learnt so far; give the same command again to go on from there"
        ) from None
    finally:
        trainer.progress_bar.close()
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # what answers from now on is fp32
    if trainer.best_epoch < len(trainer.history):
        notes.say(f"epoch {trainer.best_epoch} of {len(trainer.history)} validated best by {trainer.config.best_by}")
        restore_adapter(trainer.model, trainer.checkpoints.best)
        trainer.validation_logits = trainer.predictor.logits(trainer.validation.token_ids)
    elif not trainer.validation_logits.size:  # everything was done before this process began
        trainer.validation_logits = trainer.predictor.logits(trainer.validation.token_ids)
    trainable = (parameter for parameter in trainer.model.parameters() if parameter.requires_grad)
    if (
        not all(torch.isfinite(parameter).all() for parameter in trainable)
        or not np.isfinite(trainer.validation_logits).all()
    ):
        shutil.rmtree(trainer.checkpoints.folder, ignore_errors=True)
        raise SentiloraError("training diverged (not a number): lower the setting 'learning_rate'")
