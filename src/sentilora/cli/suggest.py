"""`sentilora suggest`."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Optional

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sentilora.analysis.suggestions import POOL, Suggestions, refuse_output
from sentilora.analysis.suggestions import suggest as run_suggest
from sentilora.cli.options import (
    LocalPath,
    adapter_option,
    base_option,
    device_option,
    overwrite_option,
    refuse_unwritable,
)
from sentilora.cli.render import console
from sentilora.config import DeviceChoice
from sentilora.inference import Classifier
from sentilora.tables import Columns, read_unlabelled

_SHOWN = 10


@click.command(short_help="Pick the texts whose labels would teach most.")
@click.argument("unlabelled", metavar="UNLABELLED")
@click.option(
    "--model",
    "-m",
    type=LocalPath(),
    help="A run, an adapter, a merged model or a bundle, trained on what is labelled so far.",
)
@adapter_option
@click.option("-n", "count", type=click.IntRange(min=1), default=100, show_default=True, help="How many texts.")
@click.option("-o", "--output", type=LocalPath(), help="Write them here, with an empty column `label`.")
@click.option("--labelled", metavar="DATA", help="Leave out these texts, and what nearly repeats them.")
@click.option("--text-column", help="Column with the texts, if not under a usual name.")
@click.option(
    "--pool",
    type=click.IntRange(min=1),
    default=POOL,
    show_default=True,
    help="Look at no more texts than this, drawn at random.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw and the clusters.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@overwrite_option
@base_option
@device_option
def suggest(  # noqa: PLR0913, PLR0917 - an argument a flag
    unlabelled: str,
    model: Optional[Path],
    adapter: Optional[str],
    count: int,
    output: Optional[Path],
    labelled: Optional[str],
    text_column: Optional[str],
    pool: int,
    seed: int,
    as_json: bool,
    overwrite: bool,
    base: Optional[str],
    device: DeviceChoice,
) -> None:
    """Pick which texts of UNLABELLED, a file of rows, to label next.

    Of the texts that the model is least sure of, those nearest to the centres of as many clusters as texts are wanted
    (Zhdanov, 2019); without a model, any text of each of as many kinds. No two are near-duplicates.

    \b
    sentilora suggest comments.csv -n 100 -o to_label.csv
    sentilora suggest comments.csv -n 100 -o more.csv --labelled to_label.csv --model runs/first
    """
    if output is not None:
        refuse_output(output, overwrite)
        refuse_unwritable(output)
    columns = Columns(text=text_column)
    data = read_unlabelled(unlabelled, columns)
    done = None if labelled is None else read_unlabelled(labelled, columns)
    classifier = None if model is None else Classifier.load(model, adapter=adapter, base=base, device=device)
    found = run_suggest(data, count, classifier=classifier, labelled=done, pool=pool, seed=seed)
    if output is not None:
        found.write(output, overwrite)
    if as_json:
        click.echo(json.dumps(asdict(found), ensure_ascii=False))
        return
    _print(found)
    if output is not None:
        click.echo(f"{output}: {len(found.chosen):,} of {found.texts:,} texts; fill in the column label")


def _print(found: Suggestions) -> None:
    table = Table(box=SIMPLE_HEAD, expand=True)
    table.add_column("row", justify="right", no_wrap=True)
    table.add_column("confidence", justify="right", no_wrap=True)
    table.add_column("text", ratio=1, overflow="ellipsis", no_wrap=True)
    for each in found.chosen[:_SHOWN]:
        confidence = "" if each.confidence is None else f"{each.confidence:.3f}"
        table.add_row(f"{each.row}", confidence, Text(" ".join(each.text.split())))
    console().print(table)
    if len(found.chosen) > _SHOWN:
        click.echo(f"... and {len(found.chosen) - _SHOWN:,} more: --output keeps all of them")
