"""Which words made an answer what it is: each is left out in turn, and the rest is classified anew."""

from __future__ import annotations

import re
from collections.abc import Generator, Sequence
from typing import Any, Callable, Optional

import numpy as np
import numpy.typing as npt

from sentilora.errors import ConfigError, ModelError
from sentilora.inference.classifier import Classifier
from sentilora.inference.explanation import Explanation, Span
from sentilora.inference.predictor import Logits
from sentilora.text import LINE_BREAK, EncodedText

BUDGET = 40  # forward passes, each of at most the whole text: what an explanation may cost by default
_SMALLEST_BUDGET = 4  # the whole text, both sides of a cut, and one to spare

# A line break in HTML parts words, as it does in cleaning.
_BREAK_OR_WORD = re.compile(rf"{LINE_BREAK}|((?:(?!{LINE_BREAK})\S)+)", re.IGNORECASE)
_PAUSES = ".!?,;:)\u2026"

Place = tuple[int, int]  # start and end in a text, in characters
_Words = Sequence[Place]


def explain(
    classifier: Classifier,
    text: str,
    budget: int = BUDGET,
    on_pass: Optional[Callable[[int], Any]] = None,
) -> Explanation:
    """Say what each word of a text did to its answer, within a budget.

    In a text of fewer words than the budget, each is left out once. In a longer one phrases are left out first, for
    half of the budget; the other half goes to the words of the phrases that had the strongest effects. What truncation
    hides has no effect and costs nothing; but what is left out of a truncated text makes room for something hidden.

    Args:
        classifier: Of two labels or more.
        text: As it would be classified.
        budget: Most forward passes, at least 4.
        on_pass: Called now and then with the number of passes that were made since.

    Raises:
        ConfigError: The budget is too small.
        ModelError: The classifier has one label only.
        DataError: The text is longer than texts may be.
    """
    steps = explaining(classifier, text, budget)
    try:
        encoded = next(steps)
        while True:
            encoded = steps.send(classifier.predictor.logits([each.ids for each in encoded], on_pass))
    except StopIteration as end:
        explanation: Explanation = end.value
        return explanation


def explaining(
    classifier: Classifier, text: str, budget: int = BUDGET
) -> Generator[list[EncodedText], Logits, Explanation]:
    """`explain` in steps, for callers that run the model in their own way.

    Yields:
        Encoded texts, in exchange for their logits, float32 [n, labels]; first the whole text alone.

    Raises:
        ConfigError, ModelError, DataError: As `explain`.
    """
    if budget < _SMALLEST_BUDGET:
        raise ConfigError(f"a budget of {budget} forward passes is too small: allow at least {_SMALLEST_BUDGET}")
    if len(classifier.labels) < 2:
        raise ModelError("this model has one label only: no word can change its answer")
    encoded = classifier.encoder.encode([text])
    [prediction] = classifier.predictions([text], encoded, (yield encoded))
    label = int(np.argmax(prediction.probabilities))  # the most probable one, also where the answer is `uncertain`
    margin = float(_margins(np.array([prediction.probabilities]), label)[0])

    def left_out(phrases: Sequence[_Words]) -> Generator[list[EncodedText], Logits, list[Span]]:
        if not phrases:
            return []
        places = [(words[0][0], words[-1][1]) for words in phrases]
        logits = yield classifier.encoder.encode(text[:start] + text[end:] for start, end in places)
        effects = margin - _margins(classifier.probabilities(logits), label)
        return [Span(start, end, text[start:end], float(effect)) for (start, end), effect in zip(places, effects)]

    parts = classifier.encoder.kept(text) if prediction.truncated else [(0, len(text))]
    read, hidden = _read_and_hidden(words_of(text), parts)
    phrases = _phrases(text, read, budget - 1)
    coarse = yield from left_out(phrases)
    finer = _finer(text, phrases, coarse, budget - 1 - len(phrases))
    fine = yield from left_out([piece for pieces in finer.values() for piece in pieces])
    spans = [span for number, span in enumerate(coarse) if number not in finer] + fine
    return Explanation(
        text=text,
        label=classifier.labels.names[label],
        confidence=prediction.confidence,
        margin=margin,
        spans=tuple(sorted(spans, key=lambda span: span.start)),
        hidden=tuple((words[0][0], words[-1][1]) for words in hidden),
        passes=1 + len(coarse) + len(fine),
    )


def words_of(text: str) -> list[Place]:
    """Where the words of a text are: maximal runs of characters that are no space and no line break of HTML."""
    return [match.span() for match in _BREAK_OR_WORD.finditer(text) if match[1] is not None]


def _margins(probabilities: npt.NDArray[np.float64], label: int) -> npt.NDArray[np.float64]:
    """By how much the logit of `label` exceeds the largest other one, float64 [n]; probabilities [n, labels]."""
    logs = np.log(np.maximum(probabilities, np.finfo(np.float64).tiny))
    return np.asarray(logs[:, label] - np.delete(logs, label, axis=1).max(axis=1))


def _read_and_hidden(words: _Words, parts: Sequence[Place]) -> tuple[list[_Words], list[_Words]]:
    """Runs of words that a model reads at least in part, and runs of those that it does not."""
    runs: dict[bool, list[list[Place]]] = {True: [], False: []}
    last: Optional[bool] = None
    for start, end in words:
        is_read = any(start < part_end and part_start < end for part_start, part_end in parts)
        if is_read is not last:
            runs[is_read].append([])
        runs[is_read][-1].append((start, end))
        last = is_read
    return list(runs[True]), list(runs[False])


def _phrases(text: str, runs: Sequence[_Words], allowed: int) -> list[_Words]:
    """Single words if so many are allowed, else phrases for about half of it; none spans a cut."""
    total = sum(len(words) for words in runs)
    if total <= allowed:
        return [[word] for words in runs for word in words]
    counts = [max(1, allowed // 2 * len(words) // total) for words in runs]
    return [phrase for words, count in zip(runs, counts) for phrase in _divided(text, words, count)]


def _finer(text: str, phrases: Sequence[_Words], spans: Sequence[Span], allowed: int) -> dict[int, list[_Words]]:
    """The phrases of strongest effect, by number, each divided as finely as is still allowed."""
    finer = {}
    for number in sorted(range(len(spans)), key=lambda number: -abs(spans[number].effect)):
        count = min(len(phrases[number]), allowed)
        if count > 1:
            finer[number] = _divided(text, phrases[number], count)
            allowed -= count
    return finer


def _divided(text: str, words: _Words, count: int) -> list[_Words]:
    """So many phrases of about equally many words; a boundary moves to a pause within a third of a phrase."""
    size = len(words) / count
    reach = int(size / 3)
    boundaries = [0]
    for number in range(1, count):
        even = int(number * size)
        nearest_first = sorted(range(even - reach, even + reach + 1), key=lambda at: abs(at - even))
        boundaries.append(next((at for at in nearest_first if text[words[at - 1][1] - 1] in _PAUSES), even))
    return [words[start:end] for start, end in zip(boundaries, [*boundaries[1:], len(words)])]
