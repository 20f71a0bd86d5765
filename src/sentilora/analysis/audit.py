"""What is wrong with labelled texts: likely label errors, near-duplicates, shortcuts, imbalance, and a shift."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt

from sentilora.analysis.duplicates import THRESHOLD, Duplicate, near_duplicates
from sentilora.analysis.evaluation import ask
from sentilora.analysis.label_errors import suspects
from sentilora.analysis.linear import FOLDS, folds_of, held_out_probabilities
from sentilora.analysis.shift import Shift, shift
from sentilora.analysis.shortcuts import Balance, Shortcut, balance_of, shortcuts_of
from sentilora.artifacts import cannot_write, write_file, write_json
from sentilora.errors import DataError
from sentilora.inference import Classifier
from sentilora.labels import SENTIMENT
from sentilora.notes import Notes
from sentilora.tables import LabelledTexts, Source, UnlabelledTexts, read_labelled, unlabelled_of


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
        label_errors: The likeliest first; None where the texts are too few to judge one another.
        duplicates: Inside the data first, then those of other data, each in the order of the rows.
        shortcuts: The surest first.
        balance: Of labels and lengths.
        shift: From reference texts, where some were given.
        notes: What was assumed.
    """

    source: str
    texts: int
    label_errors: Optional[list[LabelError]]
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
            "label_errors": None if self.label_errors is None else len(self.label_errors),
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
            raise cannot_write(folder, error) from None
        write_file(folder / "label_errors.csv", _csv(LabelError, self.label_errors or []))
        write_file(folder / "duplicates.csv", _csv(Repetition, self.duplicates))
        write_file(folder / "shortcuts.csv", _csv(Shortcut, self.shortcuts))
        write_file(folder / "balance.csv", _csv(Balance, [self.balance]))
        write_file(folder / "shift.csv", _csv(Shift, [] if self.shift is None else [self.shift]))
        write_json(folder / "summary.json", self.summary())


def audit(
    data: Union[LabelledTexts, Source],
    *,
    classifier: Optional[Classifier] = None,
    against: Union[UnlabelledTexts, Source, None] = None,
    reference: Union[UnlabelledTexts, Source, None] = None,
    threshold: float = THRESHOLD,
    seed: int = 0,
) -> Audit:
    """Look for what is wrong.

    Args:
        data: With groups, if rows that belong together shall not judge one another; or what `read_labelled` takes, such
            as a file or a data frame.
        classifier: Whose answers are compared with the labels, in place of a cross-validated linear model's.
        against: Texts that must not be in the data, such as those of a test.
        reference: Texts that the data should resemble, such as those a model was trained on.
        threshold: Least similarity of near-duplicates, in (0, 1].
        seed: Of folds and samples.

    Raises:
        DataError: The data cannot be read, or there are too few texts to compare with the reference.
        ModelError: The classifier's labels are not negative and positive.
        MissingExtraError: scikit-learn is not installed.
    """
    data = data if isinstance(data, LabelledTexts) else read_labelled(data)
    others, standard = unlabelled_of(against), unlabelled_of(reference)
    notes = Notes()
    repeated = near_duplicates(data.texts, threshold=threshold)
    return Audit(
        source=data.source,
        texts=len(data),
        label_errors=_label_errors(data, classifier, repeated, seed, notes),
        duplicates=[*_repetitions(data, repeated), *_repetitions_of(data, others, threshold)],
        shortcuts=shortcuts_of(data),
        balance=balance_of(data),
        shift=None if standard is None else shift(data.texts, standard.texts, seed),
        notes=tuple(notes),
    )


def _label_errors(
    data: LabelledTexts, classifier: Optional[Classifier], repeated: Sequence[Duplicate], seed: int, notes: Notes
) -> Optional[list[LabelError]]:
    try:
        positive = _judged(data, classifier, repeated, seed, notes)
    except DataError as error:
        notes.say(f"label errors: not looked for: {error}")
        return None
    probabilities = np.stack([1 - positive, positive], axis=1)
    agreement = float((probabilities.argmax(axis=1) == data.labels).mean())
    majority = float(np.bincount(data.labels).max() / len(data))
    notes.say(
        f"label errors: the judge agrees with {agreement:.1%} of the labels (who always gives the more frequent one, "
        f"with {majority:.1%}); the fewer, the more false alarms"
    )
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


def _judged(
    data: LabelledTexts, classifier: Optional[Classifier], repeated: Sequence[Duplicate], seed: int, notes: Notes
) -> npt.NDArray[np.float64]:
    """Probabilities of being positive, float64 [n], of a judge that did not learn from the label it judges.

    Raises:
        DataError: The texts are too few to judge one another, or hold no words.
    """
    if classifier is not None:
        notes.say("label errors: judged by the model named; where it was trained on these texts, it may repeat errors")
        return ask(classifier, data)[2].p_positive
    folds = folds_of(data, seed, [(each.row, each.other) for each in repeated])
    positive = held_out_probabilities(data.texts, data.labels, folds, seed, "cross-validating")
    together = "near-duplicates" if data.groups is None else "near-duplicates and groups"
    notes.say(f"label errors: judged by TF-IDF with logistic regression, {FOLDS}-fold, {together} in one fold")
    return positive


def _repetitions(data: LabelledTexts, repeated: Iterable[Duplicate]) -> Iterator[Repetition]:
    """Texts that repeat another of the data."""
    for each in repeated:
        contradicts = bool(data.labels[each.row] != data.labels[each.other])
        yield _repetition(data, each, int(data.rows[each.other]), data.source, contradicts)


def _repetitions_of(data: LabelledTexts, against: Optional[UnlabelledTexts], threshold: float) -> Iterator[Repetition]:
    """Texts that repeat one of other data."""
    if against is not None:
        for each in near_duplicates(data.texts, against.texts, threshold):
            yield _repetition(data, each, int(against.rows[each.other]), against.source, None)


def _repetition(
    data: LabelledTexts, found: Duplicate, other: int, source: str, contradicts: Optional[bool]
) -> Repetition:
    row = int(data.rows[found.row])
    return Repetition(row + 1, other + 1, source, found.similarity, contradicts, data.texts[found.row])


def _csv(kind: Any, findings: Iterable[Any]) -> bytes:
    file = io.StringIO()
    writer = csv.writer(file)
    names = [field.name for field in fields(kind)]
    writer.writerow(names)
    writer.writerows([getattr(finding, name) for name in names] for finding in findings)
    return file.getvalue().encode()
