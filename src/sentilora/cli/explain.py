"""`sentilora explain`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Optional

import click
from rich.style import Style
from rich.text import Text

from sentilora.artifacts import write_file
from sentilora.cli.options import LocalPath, adapter_option, base_option, device_option, labels_option, model_option
from sentilora.cli.render import console
from sentilora.config import DeviceChoice
from sentilora.errors import UserError
from sentilora.inference import Classifier, Explanation
from sentilora.inference import explain as explain_text
from sentilora.inference.explanation import html_page
from sentilora.inference.occlusion import BUDGET
from sentilora.progress import Progress

_FAINT = 0.15  # of the strongest effect: what is weaker stays uncoloured


@click.command(short_help="Show which words made an answer what it is.")
@model_option
@adapter_option
@click.option(
    "--budget",
    type=click.IntRange(min=4),
    default=BUDGET,
    show_default=True,
    help="Most forward passes for a text; long texts are explained in phrases first.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a text.")
@click.option("--html", type=LocalPath(), help="Write a page that stands alone here.")
@labels_option
@base_option
@device_option
@click.argument("texts", metavar="TEXT...", nargs=-1, required=True)
def explain(
    model: Path,
    adapter: Optional[str],
    budget: int,
    as_json: bool,
    html: Optional[Path],
    labels: Optional[list[str]],
    base: Optional[str],
    device: DeviceChoice,
    texts: Sequence[str],
) -> None:
    """Show which words made the answers for TEXT what they are.

    Each word is left out in turn and the rest classified anew: its effect is how much the answer's log-odds fall.

    \b
    sentilora explain --model runs/mine "A gorgeous film, if a little long."
    sentilora explain --model runs/mine --json "Never again." | jq .spans
    """
    if as_json and html is not None:
        raise UserError("give --json or --html, not both")
    classifier = Classifier.load(model, adapter=adapter, base=base, device=device, labels=labels)
    with Progress("explaining", budget * len(texts), "passes") as progress:
        explanations = []
        for text in texts:
            explanations.append(explain_text(classifier, text, budget, progress.advance))
            progress.skip(budget - explanations[-1].passes)
    if html is not None:
        write_file(html, html_page(explanations).encode())
        click.echo(f"{html}: {len(explanations):,} texts explained")
        return
    for explanation in explanations:
        if as_json:
            click.echo(json.dumps(explanation.to_dict(), ensure_ascii=False))
        else:
            _print_coloured(explanation)


def _print_coloured(explanation: Explanation) -> None:
    text = Text()
    for piece, _, colour in explanation.parts():
        text.append(piece, _style(colour))
    strongest = sorted(explanation.spans, key=lambda span: -abs(span.effect))[:5]
    effects = ", ".join(f"{' '.join(span.text.split())} {span.effect:+.2f}" for span in strongest)
    console().print(text)
    console().print(Text(explanation.legend, style="dim"))
    console().print(Text(f"strongest, in log-odds of the answer: {effects or 'none'}\n", style="dim"))


def _style(colour: float) -> Style:
    """The stronger the effect, the more of the colour: none, coloured, bold, reversed."""
    strength = abs(colour)
    if strength < _FAINT:
        return Style()
    return Style(color="green" if colour > 0 else "red", bold=strength > 1 / 3, reverse=strength > 2 / 3)
