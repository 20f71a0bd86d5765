"""`sentilora recipes`."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import click

from sentilora.artifacts import write_file
from sentilora.cli.options import LocalPath
from sentilora.cli.render import console, facts_table
from sentilora.config import recipe_names, recipe_source
from sentilora.errors import OutputError, UserError


@click.command(short_help="List, print or copy the packaged recipes.")
@click.argument("name", required=False)
@click.option("-o", "--output", type=LocalPath(), help="Copy the recipe to this file.")
def recipes(name: Optional[str], output: Optional[Path]) -> None:
    """List the packaged recipes; or print the one called NAME, or copy it to make it your own.

    \b
    sentilora recipes
    sentilora recipes best --output mine.yaml
    sentilora train --recipe mine.yaml
    """
    if name is None and output is not None:
        raise UserError(f"which recipe is to be copied to {output}? name one: {', '.join(recipe_names())}")
    if name is None:
        console().print(facts_table({recipe: _first_comment(recipe) for recipe in recipe_names()}))
    elif output is None:
        click.echo(recipe_source(name).rstrip())
    elif output.exists():
        raise OutputError(f"{output} exists already: choose another name")
    else:
        write_file(output, recipe_source(name).encode())
        click.echo(f"the recipe is in {output}; next: sentilora train --recipe {output}")


def _first_comment(recipe: str) -> str:
    return recipe_source(recipe).partition("\n")[0].lstrip("# ")
