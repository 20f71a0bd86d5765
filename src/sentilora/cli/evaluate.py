"""`sentilora evaluate`."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Optional

import click
import numpy as np

from sentilora.analysis import evaluate as run_evaluation
from sentilora.artifacts import kept_validation, open_model, write_file
from sentilora.cli.options import base_option, column_options, device_option, labels_option
from sentilora.cli.render import console, metrics_table
from sentilora.config import DeviceChoice
from sentilora.errors import DataError
from sentilora.inference import Classifier
from sentilora.inference.predictor import Logits
from sentilora.tables import Columns, read_labelled


@click.command(short_help="Measure a model on labelled texts.")
@click.argument("path", metavar="PATH", type=click.Path(path_type=Path))
@click.option(
    "--data",
    metavar="DATA",
    help="Labelled texts, named as for train (bundled:test and imdb:test are test parts); by default a run's own.",
)
@column_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--logits", type=click.Path(path_type=Path), help="Also write the logits here, float32 [n, 2], as .npy.")
@labels_option
@base_option
@device_option
def evaluate(
    path: Path,
    data: Optional[str],
    columns: Columns,
    as_json: bool,
    logits: Optional[Path],
    labels: Optional[list[str]],
    base: Optional[str],
    device: DeviceChoice,
) -> None:
    """Measure the run, adapter or merged model in PATH on labelled texts.

    \b
    sentilora evaluate runs/mine
    sentilora evaluate runs/mine --data held_out.csv --json
    """
    source = data or kept_validation(path)
    if source is None:
        open_model(path)  # a folder that is not there, or no model, is the better thing to say
        raise DataError(f"{path} keeps no validation texts: name labelled texts with --data")
    table = read_labelled(source, columns)
    classifier = Classifier.load(path, base=base, device=device, labels=labels)
    evaluation = run_evaluation(classifier, table)
    if logits is not None:
        write_file(logits, _as_npy(evaluation.logits))
    if as_json:
        summary = {
            "n": evaluation.metrics.n,
            **evaluation.metrics.scores(),
            "confusion": vars(evaluation.metrics),
            "truncated": evaluation.encoding.truncated,
            "unknown_tokens": evaluation.encoding.unknown,
            "data": table.source,
            "notes": list(classifier.notes),
        }
        click.echo(json.dumps(summary))
        return
    click.echo(table.describe())
    click.echo(str(evaluation.encoding))
    console().print(metrics_table(evaluation.metrics))


def _as_npy(array: Logits) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
