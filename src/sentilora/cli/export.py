"""`sentilora export`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import click

from sentilora.cli.options import LocalPath, base_option, overwrite_option


@click.command(short_help="Make a bundle that needs no PyTorch.")
@click.argument("paths", metavar="PATH...", nargs=-1, required=True, type=LocalPath())
@click.option("-o", "--output", type=LocalPath(), default=Path("bundle"), show_default=True, help="The new folder.")
@click.option(
    "--unlabelled",
    type=LocalPath(),
    help="A file of texts like those to be scored, not of the training, to judge int8 on; by default bundled reviews.",
)
@overwrite_option
@base_option
def export(
    paths: Sequence[Path], output: Path, unlabelled: Optional[Path], overwrite: bool, base: Optional[str]
) -> None:
    """Make a bundle of the run, adapter or merged model in PATH: an int8 graph and a tokenizer, proved to answer alike.

    Of several runs or adapters of one base it makes one bundle with that base once, and each adapter by its name.

    \b
    sentilora export runs/mine -o bundle
    sentilora export runs/books runs/kitchen -o shop
    """
    from sentilora.export import export as run_export  # noqa: PLC0415 - needs torch

    exported = run_export(paths, output, base=base, unlabelled=unlabelled, overwrite=overwrite)
    click.echo(f"{exported.folder}: {exported.quantisation}")
    for name, verdict in exported.verdicts.items():
        proof = f"{verdict}, and {exported.changes[name]}"
        click.echo(f"{name}: fp32 logits equal PyTorch's to {exported.parity[name]:.1g}; {proof}")
