"""Answers to texts; to a text that comes again, the answer it got before."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, Callable, Optional

import msgspec

from sentilora.inference import Classifier

_REMEMBERED = 30_000  # answers, in about 8 MB


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What is written beside a row. The attributes are the columns.

    Attributes:
        sentiment: Name of the most probable label, or `uncertain`.
        p_positive: Probability of the positive label; None for a classifier that does not know negative and positive.
        confidence: Probability of the label, in [0, 1].
        truncated: Whether the text was too long to be read whole.
    """

    sentiment: str
    p_positive: Optional[float]
    confidence: float
    truncated: bool


class Answers:
    """Asks a classifier, and keeps the latest answers.

    Where a text's answer depends on its neighbours, in the last bits, answers are kept for one call only: else a file
    scored in two sittings would differ from one scored in a single sitting.

    Attributes:
        repeated: Texts that needed no computing so far.
    """

    def __init__(self, classifier: Classifier) -> None:
        self.repeated = 0
        self._classifier = classifier
        self._known: OrderedDict[bytes, Answer] = OrderedDict()

    def __call__(self, texts: Sequence[str], on_batch: Callable[[int], Any]) -> list[Answer]:
        """The answers, in the order of the texts; `on_batch` is told of every text once."""
        if not self._classifier.predictor.batch_invariant:
            self._known.clear()
        keys = [hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts]
        answers = {key: self._known[key] for key in keys if key in self._known}
        new = {key: text for key, text in zip(keys, texts) if key not in answers}
        on_batch(len(texts) - len(new))
        self.repeated += len(texts) - len(new)
        for key, prediction in zip(new, self._classifier.predict(list(new.values()), on_batch)):
            answers[key] = Answer(prediction.label, prediction.p_positive, prediction.confidence, prediction.truncated)
        self._remember(answers)
        return [answers[key] for key in keys]

    def _remember(self, answers: dict[bytes, Answer]) -> None:
        for key, answer in answers.items():
            self._known[key] = answer
            self._known.move_to_end(key)
        while len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
