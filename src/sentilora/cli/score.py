"""`sentilora score`."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import Any, get_args

import click

from sentilora.cli.options import (
    adapter_option,
    at_home,
    base_option,
    device_option,
    labels_option,
    model_option,
    overwrite_option,
    precision_option,
)
from sentilora.config import CHUNK_ROWS, EngineChoice


@click.command(short_help="Classify every row of files.")
@click.argument("inputs", metavar="INPUT...", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    required=True,
    callback=at_home,
    help="A .csv, .tsv, .jsonl or .parquet file or URL, or - for standard output.",
)
@model_option
@adapter_option
@click.option("--text-column", help="Column with the texts, if not under a usual name.")
@click.option("--format", type=click.Choice(["csv", "tsv", "jsonl"]), help="What standard input and output hold.")
@click.option(
    "--shard", metavar="I/N", help="Score the I-th of N equal shares, into a file named after it; see gather."
)
@click.option(
    "--chunk-rows",
    type=click.IntRange(min=1),
    default=CHUNK_ROWS,
    show_default=True,
    help="Rows that are scored and kept at a time.",
)
@click.option(
    "--engine",
    type=click.Choice(get_args(EngineChoice)),
    default="local",
    show_default=True,
    help="Where to score: in this process, or on the Ray cluster that is running; the output is the same.",
)
@overwrite_option
@precision_option
@labels_option
@base_option
@device_option
def score(inputs: Sequence[str], output: str, **settings: Any) -> None:
    """Classify every row of INPUT: CSV, TSV, JSON lines, Parquet or Excel files, also compressed.

    INPUT is a path, a folder, a pattern, a URL that fsspec knows, or - for standard input; of a folder or a pattern,
    what this command wrote there is left out. Excel workbooks are read whole, all others as a stream.

    All columns and the order of the rows stay; sentiment, p_positive, confidence and truncated are added. A row that
    cannot be scored is not in the output: OUTPUT.rejects.jsonl has its number and why. A run that was cut short goes on
    where it was when the same command is given again.

    \b
    sentilora score reviews.csv --output scored.csv --model runs/mine
    cat reviews.jsonl | sentilora score - --output - --format jsonl --model runs/mine
    """
    from sentilora.scoring import score as run_scoring  # noqa: PLC0415 - slow to import

    try:
        result = run_scoring(inputs, output, **settings)
    except BrokenPipeError:  # the reader, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return
    resumed = f", {result.resumed:,} of them before" if result.resumed else ""
    repeated = f", {result.repeated:,} texts repeated" if result.repeated else ""
    rejects = f" (see {result.rejects})" if result.rejects else ""
    rate = (result.rows - result.resumed) / result.seconds
    click.echo(
        f"{result.output}: {result.rows:,} rows in = {result.scored:,} scored + {result.rejected:,} rejected{rejects}"
        f"{resumed}{repeated}; {result.seconds:,.1f} s, {rate:,.1f} rows/s",
        err=result.output == "-",
    )
