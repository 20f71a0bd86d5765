"""Whether explanations name the words that matter: deleting those must change more answers than deleting others."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from sentilora.inference import Classifier, Explanation, explain
from sentilora.inference.occlusion import Place, words_of
from sentilora.progress import Progress

SHARE = 0.2  # of the words that a model reads


@dataclass(frozen=True)
class Faithfulness:
    """How often answers change when words are deleted.

    Attributes:
        texts: How many were tried.
        top: Share of the answers that change without the words that speak most for them, in [0, 1].
        random: Share that changes without as many random words, in [0, 1].
        passes: Forward passes that explaining a text took, on average.
    """

    texts: int
    top: float
    random: float
    passes: float


def faithfulness(classifier: Classifier, texts: Sequence[str], seed: int) -> Faithfulness:
    """Explain every text, delete its top 20 % of words or a random 20 %, and count the answers that change.

    Words of a phrase that was not taken apart share its effect. Only words that the model reads are deleted.
    """
    rng = np.random.default_rng(seed)
    explanations, without_top, without_random = [], [], []
    with Progress("explaining", len(texts)) as progress:
        for text in texts:
            explanation = explain(classifier, text)
            ranked = _ranked(explanation)
            count = math.ceil(SHARE * len(ranked))
            explanations.append(explanation)
            without_top.append(_without(text, ranked[:count]))
            without_random.append(_without(text, [ranked[at] for at in rng.permutation(len(ranked))[:count]]))
            progress.advance()
    labels = [explanation.label for explanation in explanations]

    def changed(shortened: Sequence[str]) -> float:
        answers = classifier(shortened)
        return float(np.mean([answer.label != label for answer, label in zip(answers, labels)]))

    return Faithfulness(
        texts=len(texts),
        top=changed(without_top),
        random=changed(without_random),
        passes=float(np.mean([explanation.passes for explanation in explanations])),
    )


def _ranked(explanation: Explanation) -> list[Place]:
    """The words that were read, those that speak most for the answer first."""
    effects: dict[Place, float] = {}
    for span in explanation.spans:
        words = words_of(span.text)
        effects.update({(span.start + start, span.start + end): span.effect / len(words) for start, end in words})
    return sorted(effects, key=lambda place: -effects[place])


def _without(text: str, places: Iterable[Place]) -> str:
    for start, end in sorted(places, reverse=True):
        text = text[:start] + text[end:]
    return text
