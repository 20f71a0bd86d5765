"""`sentilora evaluate`."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Optional

import click
import numpy as np

from sentilora.analysis import Comparison, Evaluation
from sentilora.analysis import evaluate as run_evaluation
from sentilora.analysis.baseline import baselines, unmeasured
from sentilora.analysis.evaluation import OF_THE_VALIDATION, ask, require_sentiment
from sentilora.analysis.linear import require_scikit_learn
from sentilora.artifacts import kept_validation, open_model, write_file
from sentilora.cli.options import (
    LocalPath,
    adapter_option,
    base_option,
    column_options,
    device_option,
    labels_option,
    output_file,
    parse_names,
    precision_option,
    report_option,
)
from sentilora.cli.render import comparisons_table, console, evaluation_tables, mistakes_table, slices_table
from sentilora.config import DeviceChoice
from sentilora.errors import DataError, UserError
from sentilora.inference import Classifier
from sentilora.inference.predictor import Logits
from sentilora.reporting import require_reporting
from sentilora.tables import Columns, LabelledTexts, read_labelled


@click.command(short_help="Measure a model on labelled texts.")
@click.argument("path", metavar="PATH", type=LocalPath())
@click.option(
    "--data",
    metavar="DATA",
    help="Labelled texts, named as for train (bundled:test and imdb:test are test parts); by default a run's own.",
)
@adapter_option
@column_options
@click.option("--by", metavar="COLUMN", help="Also measure the texts of each value of this column of the data.")
@click.option("--against", metavar="OTHER", type=LocalPath(), help="Compare with another model.")
@click.option("--against-adapter", metavar="NAME", help="Which adapter of OTHER, if that is a bundle with several.")
@click.option(
    "--against-labels",
    metavar="NAME,NAME",
    callback=parse_names,
    help="Names of OTHER's labels, where it names none or others.",
)
@click.option(
    "--baseline",
    metavar="DATA",
    help="Compare with n-gram models trained on this data, such as the model's training data, to see if it pays.",
)
@precision_option
@report_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--logits",
    type=LocalPath(),
    callback=output_file(".npy"),
    help="Also write the logits here, float32 [n, 2], as .npy.",
)
@labels_option
@base_option
@device_option
def evaluate(  # noqa: PLR0913, PLR0917 - an argument a flag
    path: Path,
    data: Optional[str],
    adapter: Optional[str],
    columns: Columns,
    by: Optional[str],
    against: Optional[Path],
    against_adapter: Optional[str],
    against_labels: Optional[list[str]],
    baseline: Optional[str],
    precision: Optional[float],
    report: Optional[Path],
    as_json: bool,
    logits: Optional[Path],
    labels: Optional[list[str]],
    base: Optional[str],
    device: DeviceChoice,
) -> None:
    """Measure the run, adapter, merged model or bundle in PATH on labelled texts.

    Every score comes with the interval that holds it in 95 of 100 such samples of texts. Without --data the texts are
    those on which a run chose its epoch, temperature and threshold, which flatters it. The columns that are named are
    those of --data and of --baseline; --adapter, --labels and --precision are PATH's, and --base also OTHER's, unless
    that records another.

    \b
    sentilora evaluate runs/mine
    sentilora evaluate runs/mine --data held_out.csv --by country --report report.html
    sentilora evaluate runs/mine --data held_out.csv --against runs/older --baseline train.csv
    """
    if report is not None:
        require_reporting()
    if baseline is not None:
        require_scikit_learn()
    if against is None and (against_adapter or against_labels):
        raise UserError("--against-adapter and --against-labels are of the model that --against names: give it too")
    if data is None and baseline is None and columns != Columns():
        raise UserError("the flags for columns and labels are of --data and --baseline: name one of these too")
    table = _measured(path, data, replace(columns, group=by))
    training = None if baseline is None else unmeasured(read_labelled(baseline, columns), table)
    for_other = base is not None and against is not None and _is_adapter(against)
    own_base = base if not for_other or _is_adapter(path) else None
    classifier = Classifier.load(
        path, adapter=adapter, base=own_base, device=device, labels=labels, precision=precision
    )
    require_sentiment(classifier)
    if data is None:
        classifier.notes.say(OF_THE_VALIDATION)
    other = None
    if against is not None:
        other_base = base if for_other and _share_a_base(path, against) else None
        other = Classifier.load(against, adapter=against_adapter, base=other_base, device=device, labels=against_labels)
        require_sentiment(other, "--against-labels")
    evaluation = run_evaluation(classifier, table, by or "group")
    comparisons = []
    if other is not None:
        comparisons.append(Comparison.of(str(against), evaluation.answers, ask(other, table)[2]))
    if training is not None:
        answers = baselines(training, table)
        comparisons += [Comparison.of(name, evaluation.answers, given) for name, given in answers.items()]
    if logits is not None:
        write_file(logits, _as_npy(evaluation.logits))
    if report is not None:
        from sentilora.reporting.page import report_page  # noqa: PLC0415 - needs the extra `report`

        notes = [OF_THE_VALIDATION] if data is None else []
        write_file(report, report_page(str(path), table, evaluation, comparisons, notes=notes).encode())
    if as_json:
        click.echo(json.dumps(_as_object(evaluation, comparisons, table, classifier), ensure_ascii=False))
    else:
        _print_tables(evaluation, comparisons, table, report)


def _measured(path: Path, data: Optional[str], columns: Columns) -> LabelledTexts:
    if data is not None:
        return read_labelled(data, columns)
    kept = kept_validation(path)
    if kept is None:
        open_model(path)  # a folder that is not there, or no model, is the better thing to say
        raise DataError(f"{path} keeps no validation texts: name labelled texts with --data")
    return read_labelled(kept, Columns(group=columns.group))


def _is_adapter(path: Path) -> bool:
    return open_model(path).kind == "adapter"


def _share_a_base(path: Path, other: Path) -> bool:
    """Whether nothing that is recorded speaks against it."""
    ours, theirs = (open_model(each).manifest for each in (path, other))
    return ours is None or theirs is None or ours.base.sha256 == theirs.base.sha256


def _print_tables(
    evaluation: Evaluation, comparisons: Sequence[Comparison], table: LabelledTexts, report: Optional[Path]
) -> None:
    click.echo(table.describe())
    click.echo(str(evaluation.encoding))
    if evaluation.abstaining is not None:
        click.echo(str(evaluation.abstaining))
    out = console()
    out.print(evaluation_tables(evaluation))
    out.print(slices_table(evaluation.slices))
    if comparisons:
        out.print(comparisons_table(comparisons))
    if evaluation.mistakes:
        out.print(mistakes_table(evaluation.mistakes))
    if report is not None:
        click.echo(f"report: {report}")


def _as_object(
    evaluation: Evaluation, comparisons: Sequence[Comparison], table: LabelledTexts, classifier: Classifier
) -> dict[str, Any]:
    abstaining = evaluation.abstaining
    return {
        "n": evaluation.metrics.n,
        **{name: interval.value for name, interval in evaluation.scores.items()},
        "intervals": {name: [interval.low, interval.high] for name, interval in evaluation.scores.items()},
        "ece_if_calibrated": evaluation.ece_if_calibrated,
        "confusion": vars(evaluation.metrics),
        "abstaining": None
        if abstaining is None
        else {
            "confidence": abstaining.expected.confidence,
            "precision": None if abstaining.precision is None else abstaining.precision.value,
            "interval": None if abstaining.precision is None else [abstaining.precision.low, abstaining.precision.high],
            "coverage": abstaining.coverage,
        },
        "slices": [
            {
                "by": part.by,
                "name": part.name,
                "n": part.metrics.n,
                **part.metrics.scores(),
                "interval": [part.accuracy.low, part.accuracy.high],
                "confidence": part.confidence,
            }
            for part in evaluation.slices
        ],
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "mistakes": [asdict(mistake) for mistake in evaluation.mistakes],
        "truncated": evaluation.encoding.truncated,
        "unknown_tokens": evaluation.encoding.unknown,
        "data": table.source,
        "notes": list(classifier.notes),
    }


def _as_npy(array: Logits) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()
