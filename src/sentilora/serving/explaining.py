"""Explanations over the engine: their passes wait in its queue like everyone's."""

from __future__ import annotations

import asyncio
from collections.abc import Generator, Sequence
from typing import Union

import numpy as np

from sentilora.inference import Classifier, Explanation
from sentilora.inference.occlusion import BUDGET, explaining, words_of
from sentilora.inference.predictor import Logits
from sentilora.serving.engine import Answer, Engine, logits_of
from sentilora.serving.refusals import Reason, Refused
from sentilora.text import EncodedText

CHARACTERS = 20_000  # of a text that is explained: it is tokenised for every pass
_PASSES_AT_ONCE = 8  # that wait in the queue, so that others are answered in between

_Steps = Generator[list[EncodedText], Logits, Explanation]


async def explain(engine: Engine, answer: Answer) -> list[Explanation]:
    """Which words made an answer what it is, one explanation a text. Cancelling the call ends it soon.

    Raises:
        Refused: A text is too long for it, all together would cost more than a request may, the adapter has one label
            only, or too much is waiting.
    """
    texts = [prediction.text for prediction in answer.predictions]
    if len(answer.classifier.labels) < 2:
        raise Refused(Reason.INVALID, f"'{answer.adapter}' has one label only: no word can change its answer")
    for number, text in enumerate(texts, start=1):
        if len(text) > CHARACTERS:
            raise Refused(
                Reason.TOO_LARGE,
                f"text {number} of {len(texts)} has {len(text):,} characters, and at most {CHARACTERS:,} are explained",
            )
    cost = await asyncio.to_thread(_most_tokens, answer.classifier, texts)
    most = engine.settings.queue_tokens
    if cost > most:
        raise Refused(
            Reason.TOO_LARGE,
            f"explaining takes up to {BUDGET} passes a text, here of {cost:,} tokens together, and at most {most:,} "
            "are read for one request: explain fewer texts at once",
        )
    return [await _explained(answer.classifier, text, answer.logits[row : row + 1]) for row, text in enumerate(texts)]


def _most_tokens(classifier: Classifier, texts: Sequence[str]) -> int:
    encoded = classifier.encoder.encode(texts)
    return sum(len(each.ids) * min(len(words_of(text)) + 1, BUDGET) for text, each in zip(texts, encoded))


async def _explained(classifier: Classifier, text: str, whole: Logits) -> Explanation:
    """One explanation; `whole` are the logits [1, labels] of the whole text, which need no pass any more."""
    steps = explaining(classifier, text)
    next(steps)
    encoded = await asyncio.to_thread(_sent, steps, whole)
    while not isinstance(encoded, Explanation):
        groups = [encoded[start : start + _PASSES_AT_ONCE] for start in range(0, len(encoded), _PASSES_AT_ONCE)]
        logits = [await logits_of(classifier, group) for group in groups]
        encoded = await asyncio.to_thread(_sent, steps, np.concatenate(logits))
    return encoded


def _sent(steps: _Steps, logits: Logits) -> Union[list[EncodedText], Explanation]:
    """The next texts to read, or the explanation."""
    try:
        return steps.send(logits)
    except StopIteration as end:
        explanation: Explanation = end.value
        return explanation
