"""`sentilora audit`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import click
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sentilora.analysis.audit import Audit
from sentilora.analysis.audit import audit as run_audit
from sentilora.analysis.duplicates import THRESHOLD
from sentilora.cli.options import LocalPath, adapter_option, base_option, column_options, device_option, labels_option
from sentilora.cli.render import console, facts_table
from sentilora.config import DeviceChoice
from sentilora.errors import UserError
from sentilora.inference import Classifier
from sentilora.tables import Columns, read_labelled, read_unlabelled

_SHOWN = 10  # findings of a kind
_AGREE = {True: "differ", False: "agree", None: ""}
_NEW = "other texts, labelled or not: a file of rows, or named as for train"


@click.command(short_help="Look for label errors, duplicates and shortcuts in labelled texts.")
@click.argument("data", metavar="DATA")
@column_options
@click.option("--group-column", help="Rows that share a value here (a film, a customer) do not judge one another.")
@click.option("--against", metavar="OTHER", help=f"Also find texts that are in {_NEW}.")
@click.option("--reference", metavar="OTHER", help=f"Also measure how far DATA are from {_NEW}.")
@click.option(
    "--threshold",
    type=click.FloatRange(0.6, 1),
    default=THRESHOLD,
    show_default=True,
    help="Similarity from which two texts are near-duplicates (Jaccard, over runs of three words).",
)
@click.option(
    "--model",
    "-m",
    type=LocalPath(),
    help="Judge the labels by this model, rather than by a cross-validated linear one; it should not have seen DATA.",
)
@adapter_option
@labels_option
@base_option
@device_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "-o",
    "--output",
    type=LocalPath(file_okay=False),
    help="Write a CSV file a kind of finding, such as label_errors.csv, and summary.json into this folder.",
)
def audit(  # noqa: PLR0913, PLR0917 - an argument a flag
    data: str,
    columns: Columns,
    group_column: Optional[str],
    against: Optional[str],
    reference: Optional[str],
    threshold: float,
    model: Optional[Path],
    adapter: Optional[str],
    labels: Optional[list[str]],
    base: Optional[str],
    device: DeviceChoice,
    as_json: bool,
    output: Optional[Path],
) -> None:
    """Look for what is wrong with labelled texts before a model learns it.

    DATA are named as for train. Row numbers count from 1, without the header.

    \b
    sentilora audit reviews.csv --output audit/
    sentilora audit train.csv --against test.csv --reference last_year.csv
    """
    if model is None and (adapter or labels or base):
        raise UserError("--adapter, --labels and --base are of the model that --model names: give it too")
    table = read_labelled(data, dataclasses.replace(columns, group=group_column))
    others = [None if name is None else read_unlabelled(name, columns) for name in (against, reference)]
    classifier = (
        None if model is None else Classifier.load(model, adapter=adapter, labels=labels, base=base, device=device)
    )
    found = run_audit(table, classifier=classifier, against=others[0], reference=others[1], threshold=threshold)
    if output is not None:
        found.write(output)
    if as_json:
        findings = {name: getattr(found, name) for name in ("label_errors", "duplicates", "shortcuts")}
        listed = {
            name: None if several is None else [vars(finding) for finding in several]
            for name, several in findings.items()
        }
        click.echo(json.dumps({"summary": found.summary(), **listed}, ensure_ascii=False))
        return
    click.echo(table.describe())
    _print_findings(found)
    if output is not None:
        click.echo(f"all findings are in {output}")


def _print_findings(found: Audit) -> None:
    summary, balance = found.summary(), found.balance
    facts = {
        "likely label errors": "not looked for" if found.label_errors is None else f"{len(found.label_errors):,}",
        "near-duplicates": f"{summary['duplicates']:,} ({summary['duplicates_that_contradict']:,} with another label)",
        "near-duplicates of other data": f"{summary['duplicates_of_other_data']:,}",
        "words that give the label away": f"{summary['shortcuts']:,}",
        "labels": f"{balance.negative:,} negative, {balance.positive:,} positive",
        "median words": f"{balance.negative_words:.0f} negative, {balance.positive_words:.0f} positive "
        f"(AUC of the length alone {balance.length_auc:.2f})",
    }
    if found.shift is not None:
        facts["shift from the reference"] = f"AUC {found.shift.auc:.3f} (0.5 the same, 1 apart)"
    console().print(facts_table(facts))
    errors, repeated, words = found.label_errors or [], found.duplicates, found.shortcuts
    _print_table(
        "Likely label errors",
        ["row", "labelled", "rather", "belief"],
        [([str(each.row), each.label, each.suggested, f"{each.belief:.3f}"], each.text) for each in errors[:_SHOWN]],
        len(errors),
    )
    _print_table(
        "Near-duplicates",
        ["row", "repeats", "similarity", "labels"],
        [
            (
                [str(each.row), f"{each.other} of {each.source}", f"{each.similarity:.2f}", _AGREE[each.contradicts]],
                each.text,
            )
            for each in repeated[:_SHOWN]
        ],
        len(repeated),
    )
    _print_table(
        "Words that give the label away (harmless where they carry sentiment)",
        ["texts", "label", "share", "z"],
        [
            ([f"{each.texts:,}", each.label, f"{each.share:.1%}", f"{each.z:+.1f}"], each.word)
            for each in words[:_SHOWN]
        ],
        len(words),
    )


def _print_table(title: str, columns: Sequence[str], rows: Sequence[tuple[list[str], str]], total: int) -> None:
    if not rows:
        return
    table = Table(box=SIMPLE_HEAD, expand=True, title=title, title_justify="left")
    for column in columns:
        table.add_column(column, no_wrap=True)
    table.add_column("text", ratio=1, overflow="ellipsis", no_wrap=True)
    for cells, text in rows:
        table.add_row(*cells, Text(" ".join(text.split())))
    console().print(table)
    if total > len(rows):
        click.echo(f"... and {total - len(rows):,} more: --output keeps all of them")
