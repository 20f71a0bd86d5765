"""What is wrong with labelled texts: likely label errors, near-duplicates, shortcuts, imbalance, and a shift."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Optional

import numpy as np

from sentilora.analysis.duplicates import THRESHOLD, Duplicate, near_duplicates
from sentilora.analysis.evaluation import ask
from sentilora.analysis.label_errors import suspects
from sentilora.analysis.linear import FOLDS, folds_of, held_out_probabilities
from sentilora.analysis.shift import Shift, shift
from sentilora.analysis.shortcuts import Balance, Shortcut, balance_of, shortcuts_of
from sentilora.artifacts import write_file, write_json
from sentilora.errors import OutputError
from sentilora.inference import Classifier
from sentilora.labels import SENTIMENT
from sentilora.notes import Notes
from sentilora.tables import LabelledTexts, UnlabelledTexts


@dataclass(frozen=True)
class LabelError:
    """A text whose label is likely wrong.

    Attributes:
        row: Where it stands in its source, from 1.
        label: As it is labelled.
        suggested: What it is more likely.
        belief: The model's probability of the label it has, in [0, 1].
        text: The text.
    """

    row: int
    label: str
    suggested: str
    belief: float
    text: str


@dataclass(frozen=True)
class Repetition:
    """A text that nearly repeats another.

    Attributes:
        row: Where it stands in its source, from 1.
        other: Where the other stands in its own, from 1.
        source: Of the other: the same data, or those audited against.
        similarity: In [0, 1], see `Duplicate`.
        contradicts: Whether the two are labelled differently; None for texts of other data, whose labels are not read.
        text: The text.
    """

    row: int
    other: int
    source: str
    similarity: float
    contradicts: Optional[bool]
    text: str


@dataclass(frozen=True)
class Audit:
    """What was found.

    Attributes:
        source: The data.
        texts: How many were looked at.
        label_errors: The likeliest first.
        duplicates: Inside the data first, then those of other data, each in the order of the rows.
        shortcuts: The surest first.
        balance: Of labels and lengths.
        shift: From reference texts, where some were given.
        notes: What was assumed.
    """

    source: str
    texts: int
    label_errors: list[LabelError]
    duplicates: list[Repetition]
    shortcuts: list[Shortcut]
    balance: Balance
    shift: Optional[Shift]
    notes: tuple[str, ...]

    def summary(self) -> dict[str, Any]:
        """The findings in numbers, as JSON can hold them."""
        return {
            "data": self.source,
            "texts": self.texts,
            "label_errors": len(self.label_errors),
            "duplicates": sum(each.contradicts is not None for each in self.duplicates),
            "duplicates_that_contradict": sum(bool(each.contradicts) for each in self.duplicates),
            "duplicates_of_other_data": sum(each.contradicts is None for each in self.duplicates),
            "shortcuts": len(self.shortcuts),
            "balance": vars(self.balance),
            "shift": None if self.shift is None else vars(self.shift),
            "notes": list(self.notes),
        }

    def write(self, folder: Path) -> None:
        """Write each kind of finding as a CSV file, and `summary.json`, each whole, into a folder.

        `label_errors.csv`, `duplicates.csv`, `shortcuts.csv`, `balance.csv` and `shift.csv`: what was not found, or not
        asked for, is a file with a header only, so that none is left of an earlier audit.

        Raises:
            OutputError: The folder cannot be made or written.
        """
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(f"cannot write {folder}: {error.strerror}") from None
        write_file(folder / "label_errors.csv", _csv(LabelError, self.label_errors))
        write_file(folder / "duplicates.csv", _csv(Repetition, self.duplicates))
        write_file(folder / "shortcuts.csv", _csv(Shortcut, self.shortcuts))
        write_file(folder / "balance.csv", _csv(Balance, [self.balance]))
        write_file(folder / "shift.csv", _csv(Shift, [] if self.shift is None else [self.shift]))
        write_json(folder / "summary.json", self.summary())


def audit(
    data: LabelledTexts,
    *,
    classifier: Optional[Classifier] = None,
    against: Optional[UnlabelledTexts] = None,
    reference: Optional[UnlabelledTexts] = None,
    threshold: float = THRESHOLD,
    seed: int = 0,
) -> Audit:
    """Look for what is wrong.

    Args:
        data: With groups, if rows that belong together shall not judge one another.
        classifier: Whose answers are compared with the labels, in place of a cross-validated linear model's.
        against: Texts that must not be in the data, such as those of a test.
        reference: Texts that the data should resemble, such as those a model was trained on.
        threshold: Least similarity of near-duplicates, in (0, 1].
        seed: Of folds and samples.

    Raises:
        DataError: There are too few texts.
        ModelError: The classifier's labels are not negative and positive.
        MissingExtraError: scikit-learn is not installed.
    """
    notes = Notes()
    return Audit(
        source=data.source,
        texts=len(data),
        label_errors=_label_errors(data, classifier, seed, notes),
        duplicates=_repetitions(data, against, threshold),
        shortcuts=shortcuts_of(data),
        balance=balance_of(data),
        shift=None if reference is None else shift(data.texts, reference.texts, seed),
        notes=tuple(notes),
    )


def _label_errors(data: LabelledTexts, classifier: Optional[Classifier], seed: int, notes: Notes) -> list[LabelError]:
    if classifier is None:
        folds = folds_of(data, seed)
        positive = held_out_probabilities(data.texts, data.labels, folds, seed, "cross-validating")
        kept_together = "equal texts" if data.groups is None else "equal texts and groups"
        notes.say(f"label errors: judged by TF-IDF with logistic regression, {FOLDS}-fold, {kept_together} in one fold")
    else:
        positive = ask(classifier, data)[2].p_positive
        notes.say("label errors: judged by the model named; where it was trained on these texts, it may repeat errors")
    probabilities = np.stack([1 - positive, positive], axis=1)
    agreement = float((probabilities.argmax(axis=1) == data.labels).mean())
    notes.say(f"label errors: the judge agrees with {agreement:.1%} of the labels; the fewer, the more false alarms")
    return [
        LabelError(
            row=int(data.rows[row]) + 1,
            label=SENTIMENT.names[data.labels[row]],
            suggested=SENTIMENT.names[1 - data.labels[row]],
            belief=float(probabilities[row, data.labels[row]]),
            text=data.texts[row],
        )
        for row in suspects(data.labels, probabilities)
    ]


def _repetitions(data: LabelledTexts, against: Optional[UnlabelledTexts], threshold: float) -> list[Repetition]:
    def found(duplicate: Duplicate, other: int, source: str, contradicts: Optional[bool]) -> Repetition:
        row, similarity = duplicate.row, duplicate.similarity
        return Repetition(int(data.rows[row]) + 1, other, source, similarity, contradicts, data.texts[row])

    inside = [
        found(each, int(data.rows[each.other]) + 1, data.source, bool(data.labels[each.row] != data.labels[each.other]))
        for each in near_duplicates(data.texts, threshold=threshold)
    ]
    if against is None:
        return inside
    outside = near_duplicates(data.texts, against.texts, threshold)
    return inside + [found(each, int(against.rows[each.other]) + 1, against.source, None) for each in outside]


def _csv(kind: Any, findings: Iterable[Any]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    names = [field.name for field in fields(kind)]
    writer.writerow(names)
    writer.writerows([getattr(finding, name) for name in names] for finding in findings)
    return file.getvalue().encode()
