"""What a training leaves behind, written into the run's folder once everything is known."""

from __future__ import annotations

import dataclasses
import logging
import shutil
from pathlib import Path

import msgspec
import numpy as np

from sentilora.analysis import Evaluation
from sentilora.analysis.calibration import Calibration
from sentilora.analysis.evaluation import evaluation_of
from sentilora.artifacts import (
    ADAPTER_FOLDER,
    CURVE_FILE,
    LOG_FILE,
    METRICS_FILE,
    REPORT_FILE,
    VALIDATION_FILE,
    Training,
    write_file,
    write_json,
)
from sentilora.config import TrainConfig
from sentilora.modeling.saving import Parity, save_adapter
from sentilora.reporting.curve import TrainingCurve
from sentilora.tables import FROM_PYTHON, write_labelled
from sentilora.training.calls import python_call, shell_command
from sentilora.training.log import StepLog
from sentilora.training.preparation import Preparation
from sentilora.training.run import EpochScores, RunRecord, versions
from sentilora.training.trainer import LoraTrainer

_logger = logging.getLogger("sentilora")


def write_run(
    prepared: Preparation,
    config: TrainConfig,
    trainer: LoraTrainer,
    calibration: Calibration,
    folder: Path,
    output: Path,
) -> None:
    """Write all that a run holds into its folder, the adapter proved.

    Args:
        prepared: What was trained on what, calibrated.
        config: The exact configuration.
        trainer: When it is done.
        calibration: Of the classifier.
        folder: Where the run grows.
        output: Where it will be.
    """
    evaluation = _evaluated(prepared, trainer)
    curve = TrainingCurve.of(StepLog(folder / LOG_FILE).lines(), trainer.steps_an_epoch)
    write_file(folder / CURVE_FILE, curve.png())
    _write_report(prepared, evaluation, curve, folder, output)
    training = _training(prepared, config, trainer, calibration, evaluation, output)
    parity = _write_adapter(prepared, trainer, evaluation, training, folder)
    write_labelled(prepared.validation.data, folder / VALIDATION_FILE, config.group_column)
    write_json(folder / METRICS_FILE, _record(prepared, trainer, evaluation, calibration, parity))


def _evaluated(prepared: Preparation, trainer: LoraTrainer) -> Evaluation:
    """The validation, calibrated; groups only part the data, and are mostly too small to be measured."""
    validation = prepared.validation
    data = dataclasses.replace(validation.data, groups=None)
    return evaluation_of(prepared.classifier, data, validation.texts, trainer.validation_logits)


def _write_report(
    prepared: Preparation, evaluation: Evaluation, curve: TrainingCurve, folder: Path, output: Path
) -> None:
    try:
        from sentilora.reporting.page import report_page  # noqa: PLC0415 - needs the extra `report`
    except ModuleNotFoundError as error:
        prepared.classifier.notes.say(
            f"no {REPORT_FILE}: {error.name} is not installed; run pip install 'sentilora[report]', then sentilora "
            f"evaluate {output} --report {REPORT_FILE}"
        )
        return
    page = report_page(f"{output.resolve().name}: validation", prepared.validation.data, evaluation, curve=curve)
    write_file(folder / REPORT_FILE, page.encode())
    _logger.info(f"report: {output / REPORT_FILE}")


def _training(
    prepared: Preparation,
    config: TrainConfig,
    trainer: LoraTrainer,
    calibration: Calibration,
    evaluation: Evaluation,
    output: Path,
) -> Training:
    epochs = len(trainer.history)
    kept = "" if trainer.best_epoch == epochs else f", the {trainer.best_epoch}. kept as the best by {config.best_by}"
    trained, total = prepared.parameters
    return Training(
        name=output.resolve().name,
        data=None if config.data == FROM_PYTHON else config.data,
        texts=prepared.train.data.describe(),
        validation=prepared.validation.data.describe(),
        split=prepared.split,
        encoding=str(prepared.encoding),
        course=f"{epochs} epoch{'s' * (epochs > 1)} in {trainer.progress_bar.seconds:,.0f} s{kept}; {trained:,} of "
        f"{total:,} parameters trained; {prepared.predictor.device.type}, {prepared.precision}, {prepared.batching}",
        settings=msgspec.to_builtins(config),
        command=shell_command(config, output),
        python=python_call(config, output),
        scores={name: score for name, score in evaluation.scores.items() if np.isfinite((score.low, score.high)).all()},
        temperature=calibration.temperature,
        uncalibrated=calibration.before,
        calibrated=calibration.after,
        versions=versions(),
    )


def _write_adapter(
    prepared: Preparation, trainer: LoraTrainer, evaluation: Evaluation, training: Training, folder: Path
) -> Parity:
    shutil.rmtree(folder / ADAPTER_FOLDER, ignore_errors=True)  # of a process that was cut short here
    manifest = msgspec.structs.replace(
        prepared.manifest,
        temperature=prepared.classifier.temperature,
        abstention=prepared.classifier.abstention,
        metrics={"n": evaluation.metrics.n, **evaluation.metrics.scores()},
        training=training,
    )
    return save_adapter(
        prepared.classifier,
        prepared.base,
        manifest,
        folder / ADAPTER_FOLDER,
        prepared.validation.token_ids,
        trainer.validation_logits,
    )


def _record(
    prepared: Preparation, trainer: LoraTrainer, evaluation: Evaluation, calibration: Calibration, parity: Parity
) -> RunRecord:
    metrics = evaluation.metrics
    return RunRecord(
        training=prepared.train.data.describe(),
        validation=prepared.validation.data.describe(),
        split=prepared.split,
        encoding=str(prepared.encoding),
        device=prepared.predictor.device.type,
        precision=prepared.precision,
        batching=prepared.batching,
        processes=trainer.processes.count,
        trained_parameters=prepared.parameters[0],
        total_parameters=prepared.parameters[1],
        epochs=tuple(EpochScores(epoch=number, **scores) for number, scores in enumerate(trainer.history, start=1)),
        best_epoch=trainer.best_epoch,
        scores=metrics.scores(),
        confusion={name: int(count) for name, count in vars(metrics).items()},
        calibration=calibration,
        reload_difference=parity.difference,
        training_seconds=trainer.progress_bar.seconds,
        texts_per_second=len(prepared.train.texts) * len(trainer.history) / trainer.progress_bar.seconds,
        notes=tuple(prepared.classifier.notes),
        versions=versions(),
    )
