"""`sentilora insights`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Optional, get_args

import click
import msgspec
from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from sentilora.analysis.dates import PeriodChoice
from sentilora.analysis.insights import Insights, Part
from sentilora.analysis.insights import insights as find_insights
from sentilora.analysis.shares import Share
from sentilora.analysis.terms import Terms
from sentilora.artifacts import write_file
from sentilora.cli.options import report_option
from sentilora.cli.render import console, facts_table
from sentilora.reporting import require_reporting

_SHOWN_PARTS, _SHOWN_TERMS, _SHOWN_TEXTS = 20, 12, 3


@click.command(short_help="Say what scored files hold: shares over time and by group, words, texts.")
@click.argument("scored", metavar="SCORED...", nargs=-1, required=True)
@click.option("--by", metavar="COLUMN", multiple=True, help="Also compare the values of this column; may be repeated.")
@click.option("--text-column", help="Column with the texts, if not under a usual name.")
@click.option("--date-column", help="Column with the dates, if not under a usual name.")
@click.option(
    "--date-format",
    metavar="FORMAT",
    help="How dates are written, such as %d/%m/%Y; ISO 8601, seconds since 1970 and names of months are understood.",
)
@click.option(
    "--period",
    type=click.Choice(get_args(PeriodChoice)),
    default="auto",
    show_default=True,
    help="Steps of time; auto takes the finest that has enough texts.",
)
@click.option("--format", type=click.Choice(["csv", "tsv", "jsonl"]), help="What standard input holds.")
@report_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def insights(scored: Sequence[str], report: Optional[Path], as_json: bool, **settings: Any) -> None:
    """Say what SCORED, which `sentilora score` wrote, holds: how positive the texts are, when, where, in which words.

    SCORED is a path, a folder, a pattern, a URL that fsspec knows, or - for standard input, of any size: it is read
    once. Shares come with the interval that holds them in 95 of 100 such samples of texts (Wilson's); texts that are
    uncertain count apart. Words and phrases are those whose log-odds differ most between negative and positive texts,
    under a Dirichlet prior (Monroe et al., 2008).

    \b
    sentilora insights scored.csv --by country --report insights.html
    sentilora insights 'scored-*.parquet' --by shop --by product --period month --json
    """
    if report is not None:
        require_reporting()
    found = find_insights(scored, **settings)
    if report is not None:
        from sentilora.reporting.insights import insights_page  # noqa: PLC0415 - needs the extra `report`

        write_file(report, insights_page(found).encode())
    if as_json:
        click.echo(msgspec.json.encode(found).decode())
        return
    click.echo(found.describe())
    _print(found)
    if report is not None:
        click.echo(f"report: {report}")


def _print(found: Insights) -> None:
    overall, out = found.overall, console()
    facts = {
        "texts": f"{overall.texts:,}: {overall.negative:,} negative, {overall.positive:,} positive, "
        f"{overall.uncertain:,} uncertain",
        "share positive": "{} (95% interval {})".format(*_cells(overall)),
    }
    if overall.expected is not None:
        facts["mean p_positive"] = f"{overall.expected:.1%}"
    if found.trend is not None:
        trend, change = found.trend, found.trend.change
        facts["trend"] = (
            f"{100 * change.value:+.1f} points from {trend.first} to {trend.last} "
            f"(95% interval {100 * change.low:+.1f} to {100 * change.high:+.1f})"
        )
    out.print(facts_table(facts))
    if found.over_time:
        _print_parts(found.period or "", found.over_time, overall)
    for name, parts in found.by.items():
        _print_parts(name, parts, overall)
    for title, terms in (("words", found.words), ("phrases", found.phrases)):
        if terms.negative or terms.positive:
            out.print(_terms_table(title, terms))
    for name, texts in found.telling.items():
        table = Table(box=SIMPLE_HEAD, expand=True)
        table.add_column(f"telling {name} texts", ratio=1)
        for telling in texts[:_SHOWN_TEXTS]:
            table.add_row(Text(telling.passage))
        if texts:
            out.print(table)


def _print_parts(title: str, parts: Sequence[Part], overall: Share) -> None:
    """Shares of the first parts, and whether they stand out."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column(Text(title), overflow="fold")
    for column in ("texts", "uncertain", "positive", "95% interval", ""):
        table.add_column(column, justify="right", no_wrap=True)
    for part in parts[:_SHOWN_PARTS]:
        share = part.share
        table.add_row(
            Text(part.name),
            f"{share.texts:,}",
            f"{share.uncertain:,}",
            *_cells(share),
            _how_it_stands_out(part, overall),
        )
    console().print(table)
    if len(parts) > _SHOWN_PARTS:
        click.echo(f"... {_SHOWN_PARTS} of {len(parts):,}: see all with --report or --json")


def _how_it_stands_out(part: Part, overall: Share) -> str:
    if not part.stands_out or part.share.share is None or overall.share is None:
        return ""
    return "high" if part.share.share.value > overall.share.value else "low"


def _cells(share: Share) -> tuple[str, str]:
    """The share and its interval."""
    if share.share is None:
        return "", ""
    return f"{share.share.value:.1%}", f"{share.share.low:.1%} to {share.share.high:.1%}"


def _terms_table(title: str, found: Terms) -> Table:
    """Those that may be chance are dim."""
    chance = f"by which some of {found.compared:,} {title} compared reach a z of up to {found.sure_z:.1f}"
    table = Table(box=SIMPLE_HEAD, caption=f"dim: may be chance, {chance}", caption_justify="left")
    table.add_column(f"{title} of negative texts", style="red")
    table.add_column("z", justify="right")
    table.add_column(f"{title} of positive texts", style="green")
    table.add_column("z", justify="right")
    for place in range(min(_SHOWN_TERMS, max(len(found.negative), len(found.positive)))):
        cells: list[Text] = []
        for terms in (found.negative, found.positive):
            term = terms[place] if place < len(terms) else None
            style = "dim" if term and abs(term.z) < found.sure_z else ""
            cells += [Text(term.term if term else "", style), Text(f"{term.z:+.1f}" if term else "", style)]
        table.add_row(*cells)
    return table
