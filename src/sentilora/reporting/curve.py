"""How a training went, as a picture."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from sentilora.analysis.metrics import Floats

_TRAINING, _VALIDATION, _ACCURACY = "#8a93a6", "#c2410c", "#15803d"


@dataclass(frozen=True)
class TrainingCurve:
    """Losses and accuracies over the epochs.

    Attributes:
        epochs: float64 [steps], when each step was taken, from 0.
        losses: float64 [steps], cross-entropy of each step in nats.
        smoothed: float64 [steps], means over a tenth of an epoch that ends at each step.
        validated: float64 [validations], after how many epochs each was.
        validation_losses: float64 [validations], mean cross-entropy in nats.
        accuracies: float64 [validations], in [0, 1].
    """

    epochs: Floats
    losses: Floats
    smoothed: Floats
    validated: Floats
    validation_losses: Floats
    accuracies: Floats

    @classmethod
    def of(cls, log: Sequence[Mapping[str, float]], steps_an_epoch: int) -> TrainingCurve:
        """The curve that a run's log draws.

        Args:
            log: Lines of `log.jsonl`: steps have `step` and `loss`, validations `step`, `eval_loss` and
                `eval_accuracy`.
            steps_an_epoch: To turn steps into epochs.
        """
        steps = [line for line in log if "loss" in line]
        validations = [line for line in log if "eval_loss" in line]
        losses = np.array([line["loss"] for line in steps])
        return cls(
            epochs=np.array([line["step"] for line in steps]) / steps_an_epoch,
            losses=losses,
            smoothed=_smoothed(losses, steps_an_epoch),
            validated=np.array([line["step"] for line in validations]) / steps_an_epoch,
            validation_losses=np.array([line["eval_loss"] for line in validations]),
            accuracies=np.array([line["eval_accuracy"] for line in validations]),
        )

    def draw(self, figure: Figure) -> None:
        """Losses on the left axis, accuracy on the right one, a legend above."""
        losses = figure.add_subplot()
        losses.plot(self.epochs, self.losses, color=_TRAINING, alpha=0.25, linewidth=0.8)
        losses.plot(self.epochs, self.smoothed, color=_TRAINING, label="training loss, smoothed")
        losses.plot(self.validated, self.validation_losses, "o-", color=_VALIDATION, label="validation loss")
        losses.set_xlabel("epoch")
        losses.set_ylabel("cross-entropy, nats")
        losses.set_ylim(bottom=0)
        losses.grid(alpha=0.2)
        accuracies = losses.twinx()
        accuracies.plot(self.validated, self.accuracies, "s--", color=_ACCURACY, label="validation accuracy")
        accuracies.set_ylim(0.5, 1)
        accuracies.set_ylabel("accuracy")
        accuracies.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        accuracies.grid(visible=False)
        figure.legend(loc="outside upper center", ncols=3, frameon=False)

    def png(self) -> bytes:
        """The picture by itself."""
        figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
        self.draw(figure)
        picture = io.BytesIO()
        figure.savefig(picture, format="png")
        return picture.getvalue()


def _smoothed(values: Floats, steps_an_epoch: int) -> Floats:
    """Means over windows of a tenth of an epoch that end at each step."""
    window = max(1, min(steps_an_epoch // 10, len(values)))
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))
