"""A picture of how a training went."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

_TRAINING, _VALIDATION, _ACCURACY = "#8a93a6", "#c2410c", "#15803d"


def training_curve(log: Sequence[Mapping[str, float]], steps_an_epoch: int) -> bytes:
    """Loss and accuracy over the epochs, as a PNG.

    Args:
        log: Lines of a run's `log.jsonl`: steps have `step` and `loss`, validations `step`, `eval_loss` and
            `eval_accuracy`.
        steps_an_epoch: To turn steps into epochs.
    """
    steps = [line for line in log if "loss" in line]
    validations = [line for line in log if "eval_loss" in line]
    epochs = np.array([line["step"] for line in steps]) / steps_an_epoch
    losses = np.array([line["loss"] for line in steps])
    validated = [line["step"] / steps_an_epoch for line in validations]

    figure = Figure(figsize=(8, 4.5), dpi=120, layout="constrained")
    loss_axes = figure.add_subplot()
    loss_axes.plot(epochs, losses, color=_TRAINING, alpha=0.25, linewidth=0.8)
    loss_axes.plot(epochs, _smoothed(losses, steps_an_epoch), color=_TRAINING, label="training loss, smoothed")
    loss_axes.plot(
        validated, [line["eval_loss"] for line in validations], "o-", color=_VALIDATION, label="validation loss"
    )
    loss_axes.set_xlabel("epoch")
    loss_axes.set_ylabel("cross-entropy, nats")
    loss_axes.set_ylim(bottom=0)
    loss_axes.grid(alpha=0.2)
    accuracy_axes = loss_axes.twinx()
    accuracy_axes.plot(
        validated, [line["eval_accuracy"] for line in validations], "s--", color=_ACCURACY, label="validation accuracy"
    )
    accuracy_axes.set_ylim(0.5, 1)
    accuracy_axes.set_ylabel("accuracy")
    accuracy_axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.legend(loc="outside upper center", ncols=3, frameon=False)
    picture = io.BytesIO()
    figure.savefig(picture, format="png")
    return picture.getvalue()


def _smoothed(values: np.ndarray, steps_an_epoch: int) -> np.ndarray:
    """Means over windows of a tenth of an epoch that end at each step."""
    window = max(1, min(steps_an_epoch // 10, len(values)))
    sums = np.cumsum(np.insert(values, 0, 0.0))
    ends = np.arange(1, len(values) + 1)
    starts = np.maximum(ends - window, 0)
    return np.asarray((sums[ends] - sums[starts]) / (ends - starts))
