"""Train an adapter: the whole way from a configuration to a proved run."""

from __future__ import annotations

import logging
import time
from pathlib import Path
from typing import Any, Optional

import numpy as np
import torch
from transformers import set_seed

from sentilora.analysis import ClassificationMetrics
from sentilora.artifacts import (
    ADAPTER_FOLDER,
    CONFIG_FILE,
    METRICS_FILE,
    VALIDATION_FILE,
    Manifest,
    PathLike,
    new_folder,
    refuse_existing,
    write_file,
    write_json,
)
from sentilora.config import TrainConfig, dump_config, load_config
from sentilora.errors import ConfigError, SentiloraError
from sentilora.inference import Classifier
from sentilora.labels import SENTIMENT
from sentilora.modeling.base import find_base, load_pretrained, load_tokenizer
from sentilora.modeling.devices import choose_batching, choose_device, choose_precision
from sentilora.modeling.lora import attach_lora, count_parameters
from sentilora.modeling.packed import packable
from sentilora.modeling.predictor import TorchPredictor
from sentilora.modeling.saving import save_adapter
from sentilora.notes import Notes
from sentilora.tables import Columns, Split, read_labelled, split_labelled, subset, write_labelled
from sentilora.text import EncodingSummary, TextEncoder, with_cleaning
from sentilora.training.run import EpochScores, Run, RunRecord, versions
from sentilora.training.trainer import EncodedSplit, LoraTrainer, build_trainer

_logger = logging.getLogger("sentilora")


def train(
    config: Optional[TrainConfig] = None, *, output: PathLike = "runs/latest", overwrite: bool = False, **settings: Any
) -> Run:
    """Train a LoRA adapter and leave a run behind.

    Args:
        config: The whole configuration; None means the defaults with `settings` over them.
        output: The run's folder. It appears when everything in it is written and proved.
        overwrite: Whether a folder at `output` may be replaced.
        **settings: Fields of `TrainConfig` by name, such as `data="reviews.csv", base="embedded", lora={"rank": 8}`;
            only without `config`.

    Returns:
        The run, with the trained classifier ready to answer.

    Raises:
        ConfigError: A setting is unknown or out of range.
        DataError: The data are missing, or do not hold texts of both labels.
        HubError: The base or the data are on the Hub, which cannot be reached.
        OutputError: `output` exists and `overwrite` is false.
        ParityError: The saved adapter does not answer as the trained model.
    """
    if config is not None and settings:
        raise TypeError("give a config or settings, not both")
    config = config or load_config(overrides=settings)
    folder = Path(output)
    refuse_existing(folder, overwrite)
    notes = Notes()
    device = choose_device(config.device, notes)
    precision = choose_precision(config.precision, device, notes)
    base = find_base(config.base, notes)
    split = _read(config, notes)
    for part, data in (("training", split.train), ("validation", split.validation)):
        _logger.info(f"{part}: {data.describe()}")

    encoder = TextEncoder(with_cleaning(load_tokenizer(base.folder)), config.max_length, config.truncation)
    training = EncodedSplit(encoder.encode(split.train.texts), split.train.labels)
    validation = EncodedSplit(encoder.encode(split.validation.texts), split.validation.labels)
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
    with new_folder(folder, overwrite) as temporary:
        trainer = build_trainer(predictor, training, validation, config, device, precision, batching, temporary)
        seconds = _fit(trainer)
        metrics = ClassificationMetrics.of(validation.labels, trainer.validation_logits.argmax(axis=1))
        manifest = Manifest(
            kind="adapter",
            labels=SENTIMENT.names,
            max_length=config.max_length,
            truncation=config.truncation,
            base=base.reference,
            metrics={"n": metrics.n, **metrics.scores()},
            notes=tuple(notes),
        )
        classifier = Classifier(predictor, encoder, SENTIMENT, notes=notes)
        parity = save_adapter(
            classifier, base, manifest, temporary / ADAPTER_FOLDER, validation.token_ids, trainer.validation_logits
        )
        record = RunRecord(
            training=split.train.describe(),
            validation=split.validation.describe(),
            encoding=str(encoding),
            device=device.type,
            precision=precision,
            batching=batching,
            trained_parameters=trained,
            total_parameters=total,
            epochs=tuple(EpochScores(epoch=number, **scores) for number, scores in enumerate(trainer.history, start=1)),
            scores=metrics.scores(),
            confusion={name: int(count) for name, count in vars(metrics).items()},
            reload_difference=parity.difference,
            training_seconds=seconds,
            texts_per_second=len(training.texts) * config.epochs / seconds,
            notes=tuple(notes),
            versions=versions(),
        )
        write_file(temporary / CONFIG_FILE, dump_config(config).encode())
        write_labelled(split.validation, temporary / VALIDATION_FILE)
        write_json(temporary / METRICS_FILE, record)
    _logger.info(f"saved: {folder}; reloaded, its logits differ by at most {parity.difference:.1g}")
    return Run(folder, config, record, metrics, classifier, trainer.validation_logits)


def _read(config: TrainConfig, notes: Notes) -> Split:
    columns = Columns(config.text_column, config.label_column, config.group_column)
    data = read_labelled(config.data, columns)
    if config.validation is None:
        split = split_labelled(data, config.validation_fraction, config.seed)
    else:
        split = Split(data, read_labelled(config.validation, Columns(config.text_column, config.label_column)))
    split = Split(
        subset(split.train, config.limit, config.seed),
        subset(split.validation, config.validation_limit, config.seed),
    )
    leaked = len(set(split.train.texts) & set(split.validation.texts))
    if leaked:
        notes.say(f"{leaked:,} of the validation texts are training texts too: the validation flatters")
    return split


def _fit(trainer: LoraTrainer) -> float:
    """Train; returns the seconds spent in steps."""
    started = time.monotonic()
    try:
        trainer.train()
    finally:
        trainer.progress_bar.close()
    seconds = time.monotonic() - started - trainer.validation_seconds
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # what answers from now on is fp32
    trainable = (parameter for parameter in trainer.model.parameters() if parameter.requires_grad)
    if (
        not all(torch.isfinite(parameter).all() for parameter in trainable)
        or not np.isfinite(trainer.validation_logits).all()
    ):
        raise SentiloraError("training diverged (not a number): lower the setting 'learning_rate'")
    return seconds
