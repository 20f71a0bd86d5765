"""`sentilora recipes`."""

from __future__ import annotations

import click

from sentilora.config import recipe_names, recipe_source


@click.command(short_help="List or print the packaged recipes.")
@click.argument("name", required=False)
def recipes(name: str) -> None:
    """List the packaged recipes, or print the one called NAME (to copy: sentilora recipes NAME > mine.yaml)."""
    click.echo(recipe_source(name).rstrip() if name else "\n".join(recipe_names()))
