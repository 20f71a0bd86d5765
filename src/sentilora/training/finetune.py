"""Train an adapter: the whole way from a configuration to a proved run."""

from __future__ import annotations

import logging
import shutil
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Optional

import msgspec

from sentilora.analysis import ClassificationMetrics
from sentilora.analysis.calibration import COOLEST, HOTTEST, Calibration, abstention_points, answers_of, calibrate
from sentilora.artifacts import (
    CHECKPOINT_FOLDER,
    METRICS_FILE,
    PathLike,
    refuse_existing,
    refuse_replacing,
    run_folder,
    unfinished,
)
from sentilora.config import TrainConfig, checked, load_config
from sentilora.errors import UserError
from sentilora.inference.predictor import Logits
from sentilora.labels import SENTIMENT
from sentilora.modeling.devices import choose_device
from sentilora.notes import Notes
from sentilora.tables import Source, name_of
from sentilora.training.begun import claim
from sentilora.training.checkpoints import Checkpoints, Conditions, InterruptedTrainingError, restore_adapter
from sentilora.training.memory import few_kernels_kept, freed_memory_kept
from sentilora.training.preparation import Preparation, prepare
from sentilora.training.processes import Processes, is_main_process
from sentilora.training.reports import refuse_absent
from sentilora.training.run import Run, RunRecord
from sentilora.training.trainer import DivergedError, LoraTrainer, build_trainer
from sentilora.training.writing import write_run

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
        data: In place of the configuration's, and of its validation texts; also a data frame, which the run's
            `config.yaml` cannot name.
        validation: The same; None sets a share of `data` aside.
        output: The run's folder. It appears when everything in it is written and proved; until then it grows beside it,
            as `NAME.unfinished`, from which the same call goes on if this one is cut short.
        overwrite: Whether a folder at `output` may be replaced, and a training begun there with other settings dropped.
        **settings: Fields of `TrainConfig` by name, such as `base="embedded", epochs=3, lora={"rank": 8}`;
            only without `config`.

    Returns:
        The run, with the trained classifier ready to answer.

    Raises:
        ConfigError: A setting is unknown or out of range, or names a tracker that is not installed.
        DataError: The data are missing, or do not hold texts of both labels.
        ModelError: The base is not there, damaged, or no DistilBERT.
        HubError: The base or the data are on the Hub, which cannot be reached.
        OutputError: `output` exists, or a training was begun there with other settings or data, or on a machine that
            computes otherwise, and `overwrite` is false; or the disk is full.
        DivergedError: The loss is no number any more: the learning rate is too high.
        InterruptedTrainingError: The user stopped it; a checkpoint is left.
        ParityError: The saved adapter does not answer as the trained model.
    """
    if config is not None and not isinstance(config, TrainConfig):
        raise TypeError(
            f"the first argument is a TrainConfig, not a {type(config).__name__}: name the data, train(data=...), or "
            "read a recipe, train(sentilora.config.load_config(...))"
        )
    if config is not None and settings:
        raise TypeError("give a config or settings, not both")
    config = load_config(overrides=settings) if config is None else checked(config)
    if data is not None:
        config = msgspec.structs.replace(config, data=name_of(data), validation=None)
    if validation is not None:
        config = msgspec.structs.replace(config, validation=name_of(validation))
    folder = Path(output)
    if not is_main_process():
        _logger.setLevel(logging.WARNING)
    else:
        refuse_existing(folder, overwrite)
    refuse_absent(config.report_to)
    few_kernels_kept()
    notes = Notes()
    device = choose_device(config.device, notes)
    processes = Processes.join(device)
    prepared = prepare(
        config,
        config.data if data is None else data,
        config.validation if validation is None else validation,
        device,
        notes,
    )
    refuse_replacing(folder, [prepared.base.folder, *_files_read(config)])
    with _place(folder, overwrite, processes) as growing:
        if processes.main:
            claim(growing, config, load_config, overwrite)
        checkpoints = Checkpoints(
            growing / CHECKPOINT_FOLDER,
            prepared.classifier,
            prepared.base,
            prepared.manifest,
            prepared.fingerprint,
            Conditions(precision=prepared.precision, batching=prepared.batching, processes=processes.count),
            processes,
        )
        if overwrite and processes.main:
            _drop_what_cannot_go_on(checkpoints)
        processes.wait()
        trainer = build_trainer(prepared, config, checkpoints)
        _fit(trainer, notes)
        metrics = ClassificationMetrics.of(prepared.validation.labels, trainer.validation_logits.argmax(axis=1))
        _warn_of_one_answer(metrics, notes)
        calibration = _calibrate(prepared, trainer.validation_logits)
        if processes.main:
            write_run(prepared, config, trainer, calibration, growing, folder)
    processes.wait()
    record = msgspec.json.decode((folder / METRICS_FILE).read_bytes(), type=RunRecord)
    _logger.info(f"saved: {folder}; reloaded, its logits differ by at most {record.reload_difference:.1g}")
    return Run(folder, config, record, metrics, prepared.classifier, trainer.validation_logits)


def _files_read(config: TrainConfig) -> list[str]:
    return [name for name in (config.data, config.validation) if name is not None]


def _place(folder: Path, overwrite: bool, processes: Processes) -> AbstractContextManager[Path]:
    """Where the run grows: the main process's own, in which the others only read."""
    return run_folder(folder, overwrite) if processes.main else nullcontext(unfinished(folder))


def _drop_what_cannot_go_on(checkpoints: Checkpoints) -> None:
    try:
        checkpoints.newest()
    except UserError:
        shutil.rmtree(checkpoints.folder)


def _fit(trainer: LoraTrainer, notes: Notes) -> None:
    """Train, from the newest checkpoint on where there is one.

    Raises:
        InterruptedTrainingError: The user stopped it.
        DivergedError: It diverged; no checkpoint is left.
    """
    start = trainer.checkpoints.newest()
    if start is not None:
        notes.say(f"resumed from {start.parent.parent.name}/{start.parent.name}/{start.name}")
    try:
        with trainer.stop.listening(), freed_memory_kept():
            if trainer.begin(start):
                trainer.train(resume_from_checkpoint=start and str(start))
        trainer.stop.obey()
    except KeyboardInterrupt:
        left = trainer.checkpoints.newest()
        if left is None:
            raise
        raise InterruptedTrainingError(
            f"interrupted: {left} holds what was learnt so far; give the same command again to go on from there"
        ) from None
    except DivergedError:
        shutil.rmtree(trainer.checkpoints.folder, ignore_errors=True)
        raise
    finally:
        trainer.progress_bar.close()
    trainer.accelerator.unwrap_model(trainer.model, keep_fp32_wrapper=False)  # what answers from now on is fp32
    if trainer.best_epoch < len(trainer.history):
        notes.say(f"epoch {trainer.best_epoch} of {len(trainer.history)} validated best by {trainer.config.best_by}")
        restore_adapter(trainer.model, trainer.checkpoints.best)
    of_last_epoch = trainer.best_epoch == len(trainer.history) and trainer.validation_logits.size
    if not of_last_epoch or trainer.processes.count > 1:  # each answered a share, in batches that round otherwise
        trainer.validation_logits = trainer.predictor.logits(trainer.validation.token_ids)


def _warn_of_one_answer(metrics: ClassificationMetrics, notes: Notes) -> None:
    if metrics.only_answer is not None:
        label = SENTIMENT.names[metrics.only_answer]
        notes.say(
            f"every validation text is called {label}, right for {metrics.accuracy:.1%}: the model has learnt nothing "
            "yet; give it more texts or epochs, or another learning rate"
        )


def _calibrate(prepared: Preparation, validation_logits: Logits) -> Calibration:
    """Give the trained classifier its temperature, and what each confidence is worth under it."""
    labels = prepared.validation.labels
    calibration = calibrate(validation_logits, labels)
    _logger.info(str(calibration))
    if calibration.temperature in (COOLEST, HOTTEST):
        prepared.classifier.notes.say(
            f"the temperature stopped at {calibration.temperature:g}, the last that is tried: the {len(labels):,} "
            "validation texts do not tell how sure the answers may be"
        )
    prepared.classifier.temperature = calibration.temperature
    prepared.classifier.abstention = abstention_points(answers_of(validation_logits, labels, calibration.temperature))
    return calibration
