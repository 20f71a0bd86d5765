"""`sentilora train`."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Optional

import click

from sentilora.cli.options import LocalPath, nested, overwrite_option, settings_options
from sentilora.cli.render import console, metrics_table
from sentilora.config import TrainConfig, load_config


@click.command(short_help="Train a LoRA adapter on labelled texts.")
@click.option("--recipe", metavar="NAME|FILE", help="Start from a packaged recipe or a YAML file; flags win over it.")
@click.option(
    "-o",
    "--output",
    type=LocalPath(),
    default=Path("runs/latest"),
    show_default=True,
    help="The run's folder.",
)
@overwrite_option
@settings_options(TrainConfig)
def train(recipe: Optional[str], output: Path, overwrite: bool, **flags: Any) -> None:
    """Train a LoRA adapter on labelled texts.

    \b
    sentilora train --data reviews.csv --base embedded --output runs/mine
    sentilora train --recipe quickstart --epochs 2
    """
    config = load_config(recipe, nested(flags, TrainConfig))
    from sentilora.training import train as run_training  # noqa: PLC0415 - needs torch

    run = run_training(config, output=output, overwrite=overwrite)
    console().print(metrics_table(run.metrics))
    click.echo(f'the adapter is in {run.adapter}; next: sentilora predict --model {run.folder} "Your text"')
