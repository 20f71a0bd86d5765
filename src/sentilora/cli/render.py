"""What commands show a person: tables that fit the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from sentilora.analysis import ClassificationMetrics
from sentilora.inference import Prediction

_COLOURS = {"negative": "red", "positive": "green"}


def console() -> Console:
    """Standard output as it is now."""
    return Console(file=sys.stdout, highlight=False)


def predictions_table(predictions: Sequence[Prediction]) -> Table:
    """One row a text: its label in colour, how sure, and the text."""
    table = Table(box=SIMPLE_HEAD, expand=True)
    table.add_column("label", no_wrap=True)
    knows_sentiment = any(prediction.p_positive is not None for prediction in predictions)
    table.add_column("p_positive" if knows_sentiment else "confidence", justify="right", no_wrap=True)
    table.add_column("text", ratio=1, overflow="ellipsis", no_wrap=True)
    for prediction in predictions:
        number = prediction.confidence if prediction.p_positive is None else prediction.p_positive
        label = Text(prediction.label, style=_COLOURS.get(prediction.label, "cyan"))
        text = Text(" ".join(prediction.text.split()) + (" (truncated)" if prediction.truncated else ""))
        table.add_row(label, f"{number:.3f}", text)
    return table


def metrics_table(metrics: ClassificationMetrics) -> Table:
    """Scores on the left, the confusion table on the right."""
    outer = Table.grid(padding=(0, 4))
    scores = Table(box=SIMPLE_HEAD)
    scores.add_column("measure")
    scores.add_column("value", justify="right")
    for name, value in metrics.scores().items():
        scores.add_row("F1" if name == "f1" else name, f"{value:.3f}")
    scores.add_row("texts", f"{metrics.n:,}")
    confusion = Table(box=SIMPLE_HEAD)
    for column in ("", "called negative", "called positive"):
        confusion.add_column(column, justify="right" if column else "left")
    confusion.add_row("is negative", f"{metrics.true_negative:,}", f"{metrics.false_positive:,}")
    confusion.add_row("is positive", f"{metrics.false_negative:,}", f"{metrics.true_positive:,}")
    outer.add_row(scores, confusion)
    return outer


def facts_table(facts: Mapping[str, str]) -> Table:
    """Names and values."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(value))
    return table
