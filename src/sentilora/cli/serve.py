"""`sentilora serve`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional

import click

from sentilora.cli.options import LocalPath, precision_option
from sentilora.errors import MissingExtraError, UserError

_KEYS_IN = {"api_keys": "SENTILORA_API_KEYS", "admin_keys": "SENTILORA_ADMIN_KEYS"}


@click.command(short_help="Answer over HTTP.")
@click.argument("bundles", metavar="BUNDLE...", nargs=-1, required=True, type=LocalPath())
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is every one.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="Port; 0 takes one that is free."
)
@click.option(
    "--api-key",
    "api_keys",
    metavar="KEY",
    multiple=True,
    envvar=_KEYS_IN["api_keys"],
    show_envvar=True,
    help="A key that opens the API, which is open to all without one; in the variable, between spaces.",
)
@click.option(
    "--admin-key",
    "admin_keys",
    metavar="KEY",
    multiple=True,
    envvar=_KEYS_IN["admin_keys"],
    show_envvar=True,
    help="A key that may also load and unload adapters.",
)
@click.option(
    "--adapter-folder",
    type=LocalPath(exists=True, file_okay=False),
    help="Folder with adapters that may be loaded while the server runs.",
)
@click.option("--threads", type=click.IntRange(1), help="Workers of each bundle.  [default: one a core]")
@click.option(
    "--queue-tokens",
    type=click.IntRange(512),
    default=65_536,
    show_default=True,
    help="Most tokens waiting; more is refused with 429.",
)
@click.option(
    "--deadline", type=click.FloatRange(0, min_open=True), default=30.0, show_default=True, help="Seconds a request."
)
@click.option(
    "--drain-delay",
    type=click.FloatRange(0),
    default=1.0,
    show_default=True,
    help="Seconds after SIGTERM in which /ready says 503 and requests are still taken.",
)
@click.option("--max-texts", type=click.IntRange(1), default=256, show_default=True, help="Most texts of a request.")
@click.option(
    "--max-body", type=click.IntRange(1), default=2_000_000, show_default=True, help="Most bytes of a request."
)
@click.option("--log-texts", is_flag=True, help="Write the texts and their labels to the log, too.")
@precision_option
@click.option(
    "--cors-origin",
    "cors_origins",
    metavar="ORIGIN",
    multiple=True,
    help="A web page elsewhere, such as https://example.org, that may call the API from a browser.",
)
def serve(
    bundles: Sequence[Path],
    host: str,
    port: int,
    threads: Optional[int],
    precision: Optional[float],
    **settings: Any,
) -> None:
    """Answer over HTTP with the bundles' adapters, and show a page at / to try them.

    Speaks the dialects of text-embeddings-inference (/predict), vLLM (/classify), SGLang (/v1/classify) and the Hub's
    clients (/), and its own (/v1/predict), where alone an answer may be `uncertain`. Logs one JSON object a line,
    without texts unless asked. SIGTERM answers what was accepted, then ends.

    \b
    sentilora serve bundles/reviews --port 8000
    curl -s localhost:8000/v1/predict -H 'Content-Type: application/json' \\
         -d '{"texts": ["A gorgeous, moving film."]}'
    """
    for keys, variable in _KEYS_IN.items():
        if variable in os.environ and not settings[keys]:  # a secret that did not arrive must not open the API
            raise UserError(f"{variable} is set and holds no key: put keys in it, or unset it")
    try:
        from sentilora import serving  # noqa: PLC0415 - needs the extra
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "serve") from None
    serving.serve(
        bundles,
        serving.ServingSettings(**settings),
        host,
        port,
        threads=threads,
        precision=precision,
        on_start=lambda address: click.echo(f"serving at {address}"),
    )
