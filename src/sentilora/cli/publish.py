"""`sentilora publish`."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import click

from sentilora.cli.options import LocalPath
from sentilora.reporting.publishing import publish as run_publishing


@click.command(short_help="Put a model on the Hub.")
@click.argument("path", metavar="PATH", type=LocalPath())
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--private", is_flag=True, help="Make the repository private; one that is there must be so already.")
@click.option("--revision", metavar="BRANCH", help="Branch to put it on, made if need be; by default main.")
@click.option("--message", metavar="TEXT", help="Of the commit.")
def publish(path: Path, repository: str, private: bool, revision: Optional[str], message: Optional[str]) -> None:
    """Put the adapter of the run in PATH, or an adapter, a merged model or a bundle, on the Hub as OWNER/NAME.

    Its files are checked against sentilora.json and pushed in one commit; a run's validation texts stay here. Log in
    with `hf auth login`, or set HF_TOKEN.

    \b
    sentilora publish runs/mine me/film-reviews --private
    sentilora predict --model me/film-reviews "A gorgeous, moving film."
    """
    published = run_publishing(path, repository, private=private, revision=revision, message=message)
    click.echo(f"{len(published.files)} files published, commit {published.commit[:12]}: {published.url}")
