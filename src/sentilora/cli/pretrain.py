"""`sentilora pretrain`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from sentilora.cli.options import LocalPath, nested, overwrite_option, settings_options
from sentilora.config import PretrainConfig, load_pretrain_config


@click.command(short_help="Have a base read unlabelled texts first.")
@click.argument("unlabelled", metavar="UNLABELLED")
@click.option(
    "-o",
    "--output",
    type=LocalPath(),
    default=Path("bases/latest"),
    show_default=True,
    help="The new base's folder.",
)
@overwrite_option
@settings_options(PretrainConfig)
def pretrain(unlabelled: str, output: Path, overwrite: bool, **flags: Any) -> None:
    """Have a base guess hidden words of UNLABELLED texts: a base that knows their language better.

    UNLABELLED is a .csv, .tsv, .jsonl, .parquet or .xlsx file, or anything that --data of train takes. A run that was
    cut short goes on where it was when the same command is given again.

    \b
    sentilora pretrain reviews.csv --base embedded --minutes 40 --output bases/reviews
    sentilora train --base bases/reviews --data labelled.csv
    """
    config = load_pretrain_config(overrides=nested(flags, PretrainConfig))
    from sentilora.training import pretrain as run_pretraining  # noqa: PLC0415 - needs torch

    pretrained = run_pretraining(unlabelled, config, output=output, overwrite=overwrite)
    record = pretrained.record
    click.echo(
        f"held-out perplexity {record.before.perplexity:,.1f} -> {record.after.perplexity:,.1f}, hidden tokens guessed "
        f"right {record.before.accuracy:.1%} -> {record.after.accuracy:.1%}; {record.steps:,} steps, {record.tokens:,} "
        f"tokens, {record.seconds:,.0f} s, {record.tokens_per_second:,.0f} tokens/s"
    )
    click.echo(f"the base is in {output}; next: sentilora train --base {output} --data your_labelled.csv")
