"""`sentilora predict`."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Optional

import click

from sentilora.cli.options import (
    LocalPath,
    adapter_option,
    base_option,
    device_option,
    labels_option,
    model_option,
    precision_option,
)
from sentilora.cli.render import console, predictions_table
from sentilora.config import DeviceChoice
from sentilora.errors import DataError, UserError
from sentilora.inference import Classifier, Prediction
from sentilora.tables import read_texts


@click.command(short_help="Classify texts.")
@model_option
@click.option(
    "--file",
    "-f",
    type=LocalPath(),
    help="Take the texts from a file of rows (.csv, .jsonl, .xlsx, ...), or from lines of text.",
)
@click.option("--text-column", help="Column with the texts, if not under a usual name.")
@adapter_option
@precision_option
@labels_option
@base_option
@device_option
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
def predict(
    model: Path,
    file: Optional[Path],
    text_column: Optional[str],
    adapter: Optional[str],
    precision: Optional[float],
    labels: Optional[list[str]],
    base: Optional[str],
    device: DeviceChoice,
    texts: Sequence[str],
) -> None:
    """Classify texts: those on the command line, in a file, or the lines of standard input.

    Prints a table to a person, and one JSON object a text to a pipe.

    \b
    sentilora predict --model runs/mine "A gorgeous, moving film."
    sentilora predict --model runs/mine --file reviews.csv | jq .label
    """
    if texts and file is not None:
        raise UserError("give texts or --file, not both")
    stream = read_texts(file, text_column) if file is not None else texts or _lines_of_stdin()
    classifier = Classifier.load(model, adapter=adapter, base=base, device=device, labels=labels, precision=precision)
    predictions = classifier.predict_iter(stream)
    if sys.stdout.isatty():
        console().print(predictions_table(list(predictions)))
    else:
        _print_lines(predictions)


def _print_lines(predictions: Iterable[Prediction]) -> None:
    try:
        for prediction in predictions:
            click.echo(json.dumps(_as_object(prediction), ensure_ascii=False))
    except BrokenPipeError:  # the reader, such as head, has enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _lines_of_stdin() -> Iterator[str]:
    if sys.stdin.isatty():
        raise UserError("no texts: give some on the command line, name a --file, or pipe lines in")
    if isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="strict")  # in the C locale Python hides bytes that are not UTF-8
    try:
        for line in sys.stdin:
            yield line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise DataError(f"standard input is not {error.encoding}: convert it") from None


def _as_object(prediction: Prediction) -> dict[str, object]:
    return {
        "text": prediction.text,
        "label": prediction.label,
        "p_positive": prediction.p_positive,
        "confidence": prediction.confidence,
        "truncated": prediction.truncated,
        "readable": prediction.readable,
    }
