"""The `sentilora` command, and what every command shares: logging, errors, exit codes."""

from __future__ import annotations

import logging
import sys
import traceback
from typing import Any

import click

from sentilora._version import __version__
from sentilora.cli.audit import audit
from sentilora.cli.doctor import doctor
from sentilora.cli.evaluate import evaluate
from sentilora.cli.explain import explain
from sentilora.cli.export import export
from sentilora.cli.gather import gather
from sentilora.cli.insights import insights
from sentilora.cli.merge import merge
from sentilora.cli.predict import predict
from sentilora.cli.pretrain import pretrain
from sentilora.cli.publish import publish
from sentilora.cli.quickstart import quickstart
from sentilora.cli.recipes import recipes
from sentilora.cli.score import score
from sentilora.cli.serve import serve
from sentilora.cli.suggest import suggest
from sentilora.cli.train import train
from sentilora.errors import MissingExtraError, SentiloraError, first_line

_EXIT_INTERRUPTED = 130
_TORCH_WING = {"torch", "transformers", "peft", "accelerate", "datasets", "evaluate", "onnx"}


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="sentilora")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option("--quiet", is_flag=True, help="Print results and errors only.")
def cli(debug: bool, quiet: bool) -> None:
    """Adapt a small pretrained encoder to your own text with LoRA, and run it anywhere."""
    _set_up_logging(quiet)


for _command in (
    *(quickstart, audit, suggest, pretrain, train, evaluate, predict, explain, merge),
    *(score, gather, insights, export, publish, serve, recipes, doctor),
):
    cli.add_command(_command)


def main() -> None:
    """Run the command line. Exit code 2 for the user's mistakes, 1 for ours."""
    debug = "--debug" in sys.argv
    try:
        sys.exit(cli.main(standalone_mode=False) or 0)
    except (click.Abort, KeyboardInterrupt):
        sys.exit(_fail("interrupted", _EXIT_INTERRUPTED))
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except Exception as error:  # noqa: BLE001 - the last door
        if debug:
            traceback.print_exc()
        sys.exit(_report(error))


def _report(error: Exception) -> int:
    if isinstance(error, SentiloraError):
        return _fail(str(error), error.exit_code)
    if isinstance(error, ModuleNotFoundError) and error.name in _TORCH_WING:
        missing = MissingExtraError(error.name, "train")
        return _fail(str(missing), missing.exit_code)
    said = f"{type(error).__name__}: {first_line(error)}"
    return _fail(f"unexpected {said} (run again as `sentilora --debug ...` and report it)", 1)


def _fail(message: str, code: int) -> int:
    click.secho("error: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)
    return code


class _EchoHandler(logging.Handler):
    """Writes records to whatever standard error is now, which a live bar replaces for a while."""

    def emit(self, record: logging.LogRecord) -> None:
        click.echo(record.getMessage(), err=True)


def _set_up_logging(quiet: bool) -> None:
    logger: Any = logging.getLogger("sentilora")
    logger.handlers = [_EchoHandler()]
    logger.setLevel(logging.WARNING if quiet else logging.INFO)
    logger.propagate = False
