"""`sentilora merge`."""

from __future__ import annotations

from pathlib import Path
from typing import Optional

import click

from sentilora.cli.options import LocalPath, base_option, device_option, overwrite_option
from sentilora.config import DeviceChoice


@click.command(short_help="Make a standalone model of an adapter.")
@click.argument("path", metavar="PATH", type=LocalPath())
@click.option(
    "-o",
    "--output",
    type=LocalPath(),
    default=Path("saved_model"),
    show_default=True,
    help="The new folder.",
)
@overwrite_option
@base_option
@device_option
def merge(path: Path, output: Path, overwrite: bool, base: Optional[str], device: DeviceChoice) -> None:
    """Fold the adapter in PATH into its base: a standalone model that plain Transformers loads.

    Its logits are compared with the adapter's on the run's validation texts (on the bundled test reviews where PATH is
    no run), and it is written only if none differs by more than 1e-4.
    """
    from sentilora.modeling.merging import merge as run_merge  # noqa: PLC0415 - needs torch

    parity = run_merge(path, output, base=base, device=device, overwrite=overwrite)
    click.echo(
        f"{output}: logits of {parity.texts:,} texts differ from the adapter's by at most {parity.difference:.1g}"
    )
