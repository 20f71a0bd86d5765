"""`sentilora quickstart`."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np

from sentilora.artifacts import VALIDATION_FILE
from sentilora.cli.options import LocalPath
from sentilora.cli.render import console, metrics_table, predictions_table
from sentilora.config import load_config
from sentilora.errors import ParityError
from sentilora.inference.predictor import Logits

_SENTENCES = (
    "A gorgeous, moving film: I left the cinema walking on air.",
    "The plot is a mess, and I would like my two hours back.",
    "Not bad at all for the price, the battery lasts all weekend.",
    "It froze on day two, and support never answered.",
)


@click.command(short_help="The first run: train, prove, classify; needs no network.")
@click.option(
    "-o",
    "--output",
    type=LocalPath(),
    default=Path("runs/quickstart"),
    show_default=True,
    help="The run's folder; replaced.",
)
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
def quickstart(output: Path, texts: Sequence[str]) -> None:
    """Train on the bundled reviews, prove what was saved, classify a few sentences (and TEXT). Needs no network."""
    from sentilora.modeling.merging import merge  # noqa: PLC0415 - needs torch
    from sentilora.modeling.saving import MERGE_TOLERANCE, RELOAD_TOLERANCE, Parity  # noqa: PLC0415
    from sentilora.training import train  # noqa: PLC0415

    clock = _Clock()
    _heading("1. Train a LoRA adapter on the bundled reviews")
    run = train(load_config("quickstart"), output=output, overwrite=True)
    clock.stop("train")

    _heading("2. Evaluate it on bundled reviews it has not seen")
    console().print(metrics_table(run.metrics))

    _heading("3. Prove that what was saved is what was trained")
    validation = output / VALIDATION_FILE
    reloaded = Parity.of(run.validation_logits, _logits_of_fresh_process(output, validation))
    reloaded.require("the adapter in a fresh process", RELOAD_TOLERANCE)
    click.echo(
        f"adapter, in a fresh process: logits of {reloaded.texts} texts differ by at most {reloaded.difference:.1g}"
    )
    clock.stop("reload")
    merged = output / "merged"
    merge(output, merged)
    calibrated = run.validation_logits / np.float32(run.classifier.temperature)  # as the merged model's head is
    fresh = Parity.of(calibrated, _logits_of_fresh_process(merged, validation))
    fresh.require("the merged model in a fresh process", MERGE_TOLERANCE)
    click.echo(f"merged, in a fresh process:  logits of {fresh.texts} texts differ by at most {fresh.difference:.1g}")
    clock.stop("merge")

    _heading("4. Classify a few sentences")
    console().print(predictions_table(run.classifier([*_SENTENCES, *texts])))
    clock.stop("classify")

    _heading(f"Done in {clock}. Everything is in {output}. Next:")
    click.echo(f'  sentilora predict --model {output} "Your own text"')
    click.echo(f"  sentilora evaluate {output} --data your_labelled.csv")
    click.echo("  sentilora train --base embedded --data your_labelled.csv --output runs/mine")


class _Clock:
    """Seconds of each part."""

    def __init__(self) -> None:
        self.parts: dict[str, float] = {}
        self._started = time.monotonic()

    def stop(self, part: str) -> None:
        now = time.monotonic()
        self.parts[part] = now - self._started
        self._started = now

    def __str__(self) -> str:
        parts = ", ".join(f"{part} {seconds:.0f}" for part, seconds in self.parts.items())
        return f"{sum(self.parts.values()):.0f} s ({parts})"


def _heading(text: str) -> None:
    click.secho(f"\n{text}", bold=True)


def _logits_of_fresh_process(model: Path, data: Path) -> Logits:
    """What a new Python process that loads `model` answers for the texts in `data`: float32 [n, 2]."""
    with tempfile.TemporaryDirectory() as folder:
        logits = Path(folder) / "logits.npy"
        command = [sys.executable, "-m", "sentilora", "--quiet", "evaluate", str(model), "--data", str(data)]
        process = subprocess.run(  # noqa: S603 - our own interpreter and module
            [*command, "--logits", str(logits), "--json"], capture_output=True, text=True, check=False
        )
        if process.returncode != 0:
            raise ParityError(
                f"a fresh process cannot evaluate {model}: {process.stderr.strip() or process.returncode}"
            )
        result: Logits = np.load(logits, allow_pickle=False)
    return result
