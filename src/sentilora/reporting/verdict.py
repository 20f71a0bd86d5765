"""What an evaluation comes to, in plain words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sentilora.analysis import Comparison, Evaluation

_TRUSTWORTHY, _ROUGH = 0.02, 0.05  # calibration error, at most
_CHANCE = 0.05  # the p-value from which on a difference may be chance
_FEWEST = 30  # texts of a slice that is worth a word


def verdict(evaluation: Evaluation, comparisons: Sequence[Comparison]) -> str:
    """A paragraph: how good, compared with what, how far its confidences can be trusted, where it is worst."""
    return " ".join(
        [
            _how_good(evaluation),
            *(_compared(comparison) for comparison in comparisons),
            _how_honest(evaluation),
            *_weakest(evaluation),
            *_abstaining(evaluation),
        ]
    )


def _how_good(evaluation: Evaluation) -> str:
    accuracy, metrics = evaluation.scores["accuracy"], evaluation.metrics
    usual = max(metrics.positive_share, 1 - metrics.positive_share)
    return (
        f"The model answers {accuracy.value:.1%} of these {metrics.n:,} texts rightly (95% interval "
        f"{accuracy.low:.1%} to {accuracy.high:.1%}); always saying the more frequent label would give {usual:.1%}."
    )


def _compared(comparison: Comparison) -> str:
    points = comparison.difference.value * 100
    against = f"{comparison.name} ({comparison.scores['accuracy'].value:.1%})"
    if comparison.test.p >= _CHANCE:
        return f"It cannot be told apart from {against}: the difference of {points:+.1f} points may be chance."
    which = "better" if points > 0 else "worse"
    return f"It is {abs(points):.1f} points {which} than {against}, which is hardly chance ({_p(comparison.test.p)})."


def _p(value: float) -> str:
    return "p < 0.001" if value < 0.001 else f"p = {value:.3f}"


def _how_honest(evaluation: Evaluation) -> str:
    error, by_chance = evaluation.scores["ece"].value, evaluation.ece_if_calibrated
    off = f"they are {error * 100:.1f} points off on average"
    if error <= by_chance:
        chance = f"as chance alone would make them on these texts (up to {by_chance * 100:.1f})"
        if by_chance <= _ROUGH:
            return f"Its confidences can be taken at their word: {off}, {chance}."
        return f"Nothing speaks against its confidences, for which these texts are too few to vouch: {off}, {chance}."
    more = f"{off}, more than by chance (up to {by_chance * 100:.1f})"
    if error <= _TRUSTWORTHY:
        return f"Its confidences can be taken at their word, nearly: {more}."
    if error <= _ROUGH:
        return f"Its confidences are roughly right: {more}."
    which = "too sure" if evaluation.answers.confidence.mean() > evaluation.metrics.accuracy else "not sure enough"
    return f"Its confidences are not to be taken at their word: it is {which} of itself, and {more}."


def _weakest(evaluation: Evaluation) -> Iterator[str]:
    worse = [
        part
        for part in evaluation.slices
        if part.metrics.n >= _FEWEST and part.accuracy.high < evaluation.metrics.accuracy
    ]
    if worse:
        worst = min(worse, key=lambda part: part.accuracy.value)
        texts = f"{worst.metrics.n:,} texts ({worst.by}: {worst.name})"
        yield f"It is clearly weaker on {texts}: {worst.accuracy.value:.1%}."


def _abstaining(evaluation: Evaluation) -> Iterator[str]:
    kept = evaluation.abstaining
    if kept is not None and kept.precision is not None:
        yield (
            f"Answering only from a confidence of {kept.expected.confidence:.3f} on, it answers {kept.coverage:.1%} "
            f"of the texts, and {kept.precision.value:.1%} of those rightly (95% interval {kept.precision.low:.1%} to "
            f"{kept.precision.high:.1%})."
        )
