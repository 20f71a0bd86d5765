"""What accompanies a training: the live bar and the log."""

from __future__ import annotations

import time
from typing import Any, Optional

import numpy as np
from transformers import TrainerCallback

from sentilora.config import TrainConfig
from sentilora.progress import Progress
from sentilora.training.log import StepLog


class ProgressBar(TrainerCallback):  # type: ignore[misc]
    """Step, loss, texts/s and time left, live.

    Attributes:
        seconds: Spent in steps.
    """

    def __init__(self, texts: int, config: TrainConfig) -> None:
        self.texts = texts
        self.batch_size = config.batch_size
        self.progress = Progress("training", texts * config.epochs)
        self.loss = float("nan")
        self.seconds = 0.0
        self._step_began = 0.0

    def on_train_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Open the bar, where a resumed training left it."""
        self.progress.__enter__()
        epochs, steps = divmod(state.global_step, state.max_steps // state.num_train_epochs)
        self.progress.skip(epochs * self.texts + steps * self.batch_size)

    def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Start the clock."""
        self._step_began = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: Optional[dict[str, float]] = None, **_: Any) -> None:
        """Take up a step's loss, smoothed."""
        loss = (logs or {}).get("loss")
        if loss is not None:
            self.loss = loss if np.isnan(self.loss) else 0.9 * self.loss + 0.1 * loss

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """Count the texts of one optimiser step."""
        self.seconds += time.monotonic() - self._step_began
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


class JsonLog(TrainerCallback):  # type: ignore[misc]
    """One JSON object a line for each step (`loss`, `learning_rate`, `grad_norm`) and validation (`eval_...`)."""

    def __init__(self, log: StepLog) -> None:
        self.steps = log

    def on_log(self, args: Any, state: Any, control: Any, logs: Optional[dict[str, float]] = None, **_: Any) -> None:
        """Append a line."""
        if state.is_world_process_zero:
            self.steps.append({"step": state.global_step, **(logs or {})})
