"""Unlabelled texts to judge a quantised graph on: some choose how to quantise, others are held back and choose nothing.

Only from those that chose nothing come the figures that are published: of the texts that chose, the best of several
tries would be told.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import numpy as np

from sentilora.artifacts import PathLike, Training
from sentilora.errors import DataError, UserError
from sentilora.notes import Notes
from sentilora.tables import Columns, as_compared, read_labelled, read_texts, read_unlabelled

WANTED = 2000
MEASURED = 128
_FEWEST = 2


@dataclass(frozen=True)
class OtherTexts:
    """Distinct texts, in three parts with none in common.

    Attributes:
        choosing: Choose among the ways to quantise, at most 2,000.
        held_back: Say how the chosen way does, as many.
        ranges: Reviews of ours, on which the ranges of activations are measured.
    """

    choosing: list[str]
    held_back: list[str]
    ranges: list[str]


def other_texts(
    unlabelled: Optional[PathLike],
    validation: Iterable[str],
    trainings: Mapping[str, Optional[Training]],
    notes: Notes,
) -> OtherTexts:
    """Take texts that no model was trained or validated on, as far as can be known; the same ones every time.

    Args:
        unlabelled: A file of texts like those to be scored; None takes bundled reviews.
        validation: Texts that the models are validated on.
        trainings: How the models were trained, by their names.
        notes: Told of texts that are left out, cannot be left out, or are too few.

    Raises:
        DataError: The file cannot be read, or holds fewer than two texts.
    """
    ours = _shuffled(read_labelled("bundled").texts)
    if unlabelled is None:
        source = "the bundled reviews"
        texts = _distinct([*ours[MEASURED:], *read_labelled("bundled:test").texts])
    else:
        source = os.fspath(unlabelled)
        texts = _distinct(read_texts(Path(unlabelled)))
    if len(texts) < _FEWEST:
        raise DataError(f"{source} holds {len(texts)} texts: int8 is judged on {WANTED:,}, and on {_FEWEST} at least")
    seen = {as_compared(text) for text in (*validation, *_trained_on(trainings, notes))}
    unseen = [text for text in texts if as_compared(text) not in seen]
    if len(unseen) < _FEWEST:
        notes.say(
            f"int8 is judged on texts that were trained or validated on, as are all but {len(unseen)} of {source}, and "
            "which it changes least: name others with --unlabelled"
        )
        unseen = texts
    elif len(unseen) < len(texts):
        notes.say(
            f"of {source} {len(texts) - len(unseen):,} texts, trained or validated on, are not used to judge int8"
        )
    if len(unseen) < WANTED:
        notes.say(f"int8 is judged on {len(unseen):,} other texts, {WANTED:,} are wanted: name more with --unlabelled")
    taken = _shuffled(unseen)[: 2 * WANTED]
    judging = {as_compared(text) for text in taken}
    half = len(taken) // 2
    return OtherTexts(
        taken[:half], taken[half:], [text for text in ours if as_compared(text) not in judging][:MEASURED]
    )


def _trained_on(trainings: Mapping[str, Optional[Training]], notes: Notes) -> list[str]:
    """The texts of the models' training data, those left out of the training among them."""
    texts: list[str] = []
    for name, training in trainings.items():
        reason = "are not known" if training is None else "came from Python"
        if training is not None and training.data is not None:
            try:
                texts += read_unlabelled(training.data, Columns(training.settings.get("text_column"))).texts
            except UserError as error:
                reason = f"cannot be read again ({error})"
            else:
                continue
        notes.say(f"{name}: the training texts {reason}; int8 may be judged on some of them")
    return texts


def _distinct(texts: Sequence[str]) -> list[str]:
    return list({as_compared(text): text for text in texts if text.strip()}.values())


def _shuffled(texts: Sequence[str]) -> list[str]:
    return [texts[row] for row in np.random.default_rng(0).permutation(len(texts))]
