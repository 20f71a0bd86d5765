"""Checkpoints: adapters that answer, with all that a training needs to go on from them bit for bit."""

from __future__ import annotations

import shutil
import signal
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any, Optional, TypeVar, Union

import msgspec
import torch
from peft import set_peft_model_state_dict
from safetensors.torch import load_file, save
from transformers import TrainerCallback, TrainerState
from transformers.trainer import TRAINER_STATE_NAME

from sentilora.artifacts import ADAPTER_WEIGHTS, Manifest, new_folder, read_manifest, write_file, write_json
from sentilora.errors import ModelError, OutputError, SentiloraError
from sentilora.inference import Classifier
from sentilora.modeling.base import Base
from sentilora.modeling.saving import write_adapter
from sentilora.training.processes import Processes

_PROGRESS = "training.json"
_TENSORS = "training.safetensors"
_SECONDS_BETWEEN = 60.0
_KEPT = 2


_Progress = TypeVar("_Progress", bound=msgspec.Struct)


class InterruptedTrainingError(SentiloraError):
    """The user stopped a training, which left a checkpoint."""

    exit_code = 130


class Conditions(msgspec.Struct, frozen=True, kw_only=True):
    """What `auto` and the launcher settled, and another machine may settle otherwise: it decides every number.

    Attributes:
        precision: Of the forward and backward pass.
        batching: How the texts of a step share it.
        processes: How many train together.
    """

    precision: str
    batching: str
    processes: int

    def __str__(self) -> str:
        """In a few words."""
        return f"{self.precision}, {self.batching}, by {self.processes} process{'es' * (self.processes > 1)}"


class TrainingProgress(msgspec.Struct, frozen=True, kw_only=True):
    """What a checkpoint knows beside its tensors.

    Attributes:
        step: Optimiser steps done.
        data: Fingerprint of the texts and labels trained and validated on.
        conditions: Under which they were.
        seconds: Spent in steps.
        history: Of each validation so far, the metrics with the epoch's mean training loss.
        losses: Of the steps since the latest validation.
        groups: The optimiser's parameter groups, their tensors by number.
        schedule: The learning-rate schedule's state.
        scaler: The loss scaling's state; empty but in fp16.
    """

    step: int
    data: str
    conditions: Conditions
    seconds: float
    history: list[dict[str, float]]
    losses: list[float]
    groups: list[dict[str, Any]]
    schedule: dict[str, Any]
    scaler: dict[str, Union[int, float]]


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints of one training, in `folder`, newest last; the newest two are kept.

    Attributes:
        folder: Holds `step-000120/` and the like.
        classifier: What is trained.
        base: Its frozen encoder.
        manifest: What each checkpoint's manifest says.
        data: Fingerprint of the texts and labels.
        conditions: Under which it trains.
        processes: Of which the main one writes.
    """

    folder: Path
    classifier: Classifier
    base: Base
    manifest: Manifest
    data: str
    conditions: Conditions
    processes: Processes

    def newest(self) -> Optional[Path]:
        """The newest checkpoint, if there is any, checked to be whole, of this data and base, and of these conditions.

        Raises:
            OutputError: It was trained on other data or another base, or under other conditions.
            ModelError: A file of it is damaged, or of another version.
        """
        written = self._written()
        if not written:
            return None
        path = written[-1]
        try:
            manifest = read_manifest(path)
        except ModelError as error:
            raise ModelError(
                f"{error}; or remove {path} to go on from the one before it, or pass --overwrite to begin anew"
            ) from None
        progress = load_progress(path)
        reason = None
        if progress.data != self.data:
            reason = "the data have changed"
        elif manifest is None or manifest.base.sha256 != self.base.reference.sha256:
            reason = "the base is another one"
        elif progress.conditions != self.conditions:
            reason = f"it was begun in {progress.conditions}, and would go on in {self.conditions}"
        if reason is not None:
            raise OutputError(
                f"{path.parent.parent} holds an unfinished training that cannot go on: {reason}; "
                "choose another --output, or pass --overwrite to begin anew"
            )
        return path

    @property
    def best(self) -> Path:
        """Where the adapter with the best validation so far lies."""
        return self.folder / "best"

    def save_best(self) -> None:
        """Keep the adapter as it is now as the best."""
        if not self.processes.main:
            return
        with new_folder(self.best, overwrite=True) as temporary:
            write_adapter(self.classifier, self.base, self.manifest, temporary)

    def save(self, progress: TrainingProgress, optimizer: torch.optim.Optimizer, state: TrainerState) -> None:
        """Write a checkpoint, whole or not at all, and let the oldest go."""
        if not self.processes.main:
            return
        path = self.folder / f"step-{progress.step:06d}"
        note = f"a checkpoint after {progress.step:,} steps of an unfinished training"
        with new_folder(path, overwrite=True) as temporary:
            write_file(temporary / _TENSORS, save({**moments_of(optimizer), **_random_states()}))
            write_json(temporary / _PROGRESS, progress)
            state.save_to_json(str(temporary / TRAINER_STATE_NAME))
            manifest = msgspec.structs.replace(self.manifest, notes=(*self.manifest.notes, note))
            write_adapter(self.classifier, self.base, manifest, temporary)
        for old in self._written()[:-_KEPT]:
            shutil.rmtree(old)

    def _written(self) -> list[Path]:
        return sorted(self.folder.glob("step-*"), key=lambda path: int(path.name.rpartition("-")[2]))


def load_progress(checkpoint: Path) -> TrainingProgress:
    """What a checkpoint knows beside its tensors.

    Raises:
        ModelError: Another version wrote it.
    """
    return read_progress(checkpoint / _PROGRESS, TrainingProgress)


def read_progress(path: Path, kind: type[_Progress]) -> _Progress:
    """What a checkpoint's file says.

    Raises:
        ModelError: Another version wrote it.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except msgspec.MsgspecError as error:
        raise ModelError(f"{path} is of another version ({error}): pass --overwrite to begin anew") from None


def restore_adapter(model: Any, checkpoint: Path) -> None:
    """Give the model the checkpoint's adapter and head."""
    set_peft_model_state_dict(model, load_file(checkpoint / ADAPTER_WEIGHTS))


def restore_optimizer(optimizer: torch.optim.Optimizer, schedule: Any, scaler: Any, checkpoint: Path) -> None:
    """Give the optimiser its moments, the schedule its place, and the scaler, None but in fp16, its scale."""
    progress, tensors = load_progress(checkpoint), load_file(checkpoint / _TENSORS)
    optimizer.load_state_dict({"state": moments_in(tensors), "param_groups": progress.groups})
    schedule.load_state_dict(progress.schedule)
    if scaler is not None:
        scaler.load_state_dict(progress.scaler)


def restore_random_states(checkpoint: Path, processes: Processes) -> None:
    """Set PyTorch's random generators to where they stood in the main process; the others begin new ones."""
    if not processes.main:
        torch.manual_seed(load_progress(checkpoint).step * processes.count + processes.rank)
        return
    tensors = load_file(checkpoint / _TENSORS)
    torch.set_rng_state(tensors["random.cpu"])
    if torch.cuda.is_available() and "random.cuda" in tensors:
        torch.cuda.set_rng_state(tensors["random.cuda"])


def moments_of(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """What an optimiser remembers of each parameter, by names that a safetensors file takes."""
    return {
        f"optimizer.{number}.{moment}": tensor.detach().cpu().contiguous()
        for number, moments in optimizer.state_dict()["state"].items()
        for moment, tensor in moments.items()
    }


def moments_in(tensors: Mapping[str, torch.Tensor]) -> dict[int, dict[str, torch.Tensor]]:
    """What `moments_of` put among `tensors`, as the optimiser's `load_state_dict` takes it."""
    state: dict[int, dict[str, torch.Tensor]] = {}
    for name, tensor in tensors.items():
        kind, _, rest = name.partition(".")
        if kind == "optimizer":
            number, _, moment = rest.partition(".")
            state.setdefault(int(number), {})[moment] = tensor
    return state


def _random_states() -> dict[str, torch.Tensor]:
    states = {"random.cpu": torch.get_rng_state()}
    if torch.cuda.is_available():
        states["random.cuda"] = torch.cuda.get_rng_state()
    return states


class StopRequest:
    """Whether the user has asked the training to stop, by Ctrl-C or SIGTERM; a second time stops at once."""

    def __init__(self) -> None:
        self.made = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Take the signals in this block, if it runs in the main thread, which alone can.

        A handler that was not set from Python could not be set again: such a signal stays with who has it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        before = {
            number: signal.signal(number, self._take)
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) is not None
        }
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def obey(self, *_: Any) -> None:
        """Stop here, if that was asked for.

        Raises:
            KeyboardInterrupt: It was.
        """
        if self.made:
            raise KeyboardInterrupt

    def _take(self, number: int, frame: Optional[FrameType]) -> None:
        self.obey()
        self.made = True


class CheckpointEvery(TrainerCallback):  # type: ignore[misc]
    """Has a checkpoint written at the end of each epoch, every minute or every so many steps, and before stopping."""

    def __init__(self, steps: Optional[int], stop: StopRequest, processes: Processes) -> None:
        self.steps = steps
        self.stop = stop
        self.processes = processes
        self.latest = time.monotonic()

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Decide after each step."""
        now = time.monotonic()
        due = now - self.latest >= _SECONDS_BETWEEN if self.steps is None else state.global_step % self.steps == 0
        epoch_ends = state.global_step % (state.max_steps // state.num_train_epochs) == 0
        self.stop.made = self.processes.any(self.stop.made)
        if due or epoch_ends or self.stop.made:
            control.should_save = True
            self.latest = now
        if self.stop.made:
            control.should_training_stop = True

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Do not validate an epoch that was cut short."""
        self.stop.made = self.processes.any(self.stop.made)
        if self.stop.made:
            control.should_evaluate = False
            control.should_training_stop = True
