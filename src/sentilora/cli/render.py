"""What commands show a person: tables that fit the terminal."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from sentilora.analysis import ClassificationMetrics, Comparison, Evaluation
from sentilora.analysis.evaluation import Mistake
from sentilora.analysis.metrics import measure_name
from sentilora.analysis.slices import Slice
from sentilora.inference import Prediction
from sentilora.labels import SENTIMENT

_COLOURS = {"negative": "red", "positive": "green", "uncertain": "yellow"}
_MISTAKES = 5


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
        remark = " (truncated)" * prediction.truncated + " (no word is known)" * (not prediction.readable)
        text = Text(" ".join(prediction.text.split()) + remark)
        table.add_row(label, f"{number:.3f}", text)
    return table


def metrics_table(metrics: ClassificationMetrics) -> Table:
    """Scores on the left, the confusion table on the right."""
    scores = _table("measure", "value")
    for name, value in metrics.scores().items():
        scores.add_row(measure_name(name), f"{value:.3f}")
    scores.add_row("texts", f"{metrics.n:,}")
    outer = Table.grid(padding=(0, 4))
    outer.add_row(scores, _confusion_table(metrics))
    return outer


def evaluation_tables(evaluation: Evaluation) -> Group:
    """Scores with their intervals, and the confusion table."""
    scores = _table("measure", "value", "95% interval")
    for name, interval in evaluation.scores.items():
        scores.add_row(measure_name(name), f"{interval.value:.3f}", f"{interval.low:.3f} to {interval.high:.3f}")
        if name == "ece":
            scores.add_row("ECE if calibrated", "", f"up to {evaluation.ece_if_calibrated:.3f}")
    scores.add_row("texts", f"{evaluation.metrics.n:,}")
    return Group(scores, _confusion_table(evaluation.metrics))


def slices_table(slices: Sequence[Slice]) -> Table:
    """Where the model is better and where worse."""
    table = _table("", "texts", "accuracy", "95% interval", "F1", "confidence")
    before = None
    for part in slices:
        if before not in (None, part.by):
            table.add_section()
        before = part.by
        metrics, accuracy = part.metrics, part.accuracy
        table.add_row(
            Text(f"{part.by}: {part.name}"),
            f"{metrics.n:,}",
            f"{accuracy.value:.3f}",
            f"{accuracy.low:.3f} to {accuracy.high:.3f}",
            f"{metrics.f1:.3f}",
            f"{part.confidence:.3f}",
        )
    return table


def comparisons_table(comparisons: Sequence[Comparison]) -> Table:
    """Others on the same texts, and what this model gains over their accuracy."""
    table = _table("against", "accuracy", "F1", "gain", "95% interval", "McNemar's p")
    for comparison in comparisons:
        gain = comparison.difference
        table.add_row(
            Text(comparison.name),
            f"{comparison.scores['accuracy'].value:.3f}",
            f"{comparison.scores['f1'].value:.3f}",
            f"{gain.value:+.3f}",
            f"{gain.low:+.3f} to {gain.high:+.3f}",
            f"{comparison.test.p:.2g}",
        )
    return table


def mistakes_table(mistakes: Sequence[Mistake]) -> Table:
    """The most confident wrong answers."""
    table = Table(box=SIMPLE_HEAD, expand=True)
    table.add_column("row", justify="right", no_wrap=True)
    table.add_column("is", no_wrap=True)
    table.add_column("sure of the other", justify="right", no_wrap=True)
    table.add_column("most confident mistakes", ratio=1, overflow="ellipsis", no_wrap=True)
    for mistake in mistakes[:_MISTAKES]:
        label = SENTIMENT.names[mistake.positive]
        table.add_row(
            str(mistake.row),
            Text(label, style=_COLOURS[label]),
            f"{mistake.confidence:.3f}",
            Text(" ".join(mistake.text.split())),
        )
    return table


def _confusion_table(metrics: ClassificationMetrics) -> Table:
    confusion = _table("", "called negative", "called positive")
    confusion.add_row("is negative", f"{metrics.true_negative:,}", f"{metrics.false_positive:,}")
    confusion.add_row("is positive", f"{metrics.false_negative:,}", f"{metrics.true_positive:,}")
    return confusion


def _table(first: str, *numbers: str) -> Table:
    """A column of names, then columns of numbers."""
    table = Table(box=SIMPLE_HEAD)
    table.add_column(first, overflow="fold")
    for column in numbers:
        table.add_column(column, justify="right", no_wrap=True)
    return table


def facts_table(facts: Mapping[str, str]) -> Table:
    """Names and values."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in facts.items():
        table.add_row(name, Text(value))
    return table
