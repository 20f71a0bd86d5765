"""`sentilora gather`."""

from __future__ import annotations

from collections.abc import Sequence

import click

from sentilora.cli.options import at_home, overwrite_option


@click.command(short_help="Put the shards of a scoring together.")
@click.argument("shards", metavar="SHARD...", nargs=-1, required=True)
@click.option("-o", "--output", required=True, callback=at_home, help="The file with all rows.")
@overwrite_option
def gather(shards: Sequence[str], output: str, overwrite: bool) -> None:
    """Put the outputs of `score --shard` together, in the order of the inputs, as if they had been scored at once.

    All files are local; a shard's .shard.json and .rejects.jsonl lie beside it.

    \b
    sentilora gather scored-*-of-4.csv --output scored.csv
    """
    from sentilora.scoring import gather as run_gathering  # noqa: PLC0415 - slow to import

    result = run_gathering(shards, output, overwrite=overwrite)
    rejects = f", {result.rejected:,} rejected (see {result.rejects})" if result.rejects else ""
    click.echo(f"{result.output}: {result.scored:,} rows{rejects}")
