"""What a quantised graph must prove before it may replace the model it was made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
import numpy.typing as npt

from sentilora.export.others import OtherTexts
from sentilora.inference import Classifier
from sentilora.inference.onnx import OnnxPredictor
from sentilora.inference.predictor import Logits
from sentilora.modeling.saving import Parity
from sentilora.notes import Notes
from sentilora.progress import Progress
from sentilora.tables import LabelledTexts

GRAPH_TOLERANCE = 1e-4  # of an fp32 logit
LABELS_CHANGED = 0.015  # share of unlabelled texts
ACCURACY_CHANGED = 0.003  # or one text
_COMPARED_IN_FP32 = 100


@dataclass(frozen=True)
class Verdict:
    """How far a quantised graph's answers are from the fp32 ones on the texts that choose.

    Attributes:
        validation: How many labelled texts there were.
        accuracy_fp32: On them, in [0, 1]; NaN for a classifier whose labels are not negative and positive.
        accuracy: Of the quantised graph.
        unlabelled: How many other texts there were.
        changed: Share of those whose label changed.
        difference: Largest difference of a logit over all texts.
    """

    validation: int
    accuracy_fp32: float
    accuracy: float
    unlabelled: int
    changed: float
    difference: float

    @property
    def passes(self) -> bool:
        """Whether both changes are within bounds; a NaN among the logits is not."""
        allowed = max(ACCURACY_CHANGED, 1 / self.validation)
        moved = 0.0 if np.isnan(self.accuracy_fp32) else abs(self.accuracy - self.accuracy_fp32)
        return bool(np.isfinite(self.difference) and moved <= allowed + 1e-9 and self.changed <= LABELS_CHANGED)

    def __str__(self) -> str:
        """One line for a person."""
        line = f"{self.changed:.2%} of {self.unlabelled:,} other texts change their label"
        if np.isnan(self.accuracy_fp32):
            return line
        return f"accuracy on {self.validation:,} texts {self.accuracy:.4f} (fp32 {self.accuracy_fp32:.4f}); {line}"


@dataclass(frozen=True)
class Changes:
    """How far a quantised graph's answers are from the fp32 ones on texts that chose nothing: what is published.

    Attributes:
        texts: How many there were.
        changed: Share of those whose label changed.
        difference: Largest difference of a logit.
    """

    texts: int
    changed: float
    difference: float

    @property
    def within_bounds(self) -> bool:
        """Whether the choice would have been the same on these texts."""
        return self.changed <= LABELS_CHANGED

    @classmethod
    def between(cls, fp32: Logits, found: Logits) -> Changes:
        """Of the same texts, float32 [n, labels] each."""
        changed = found.argmax(axis=1) != fp32.argmax(axis=1)
        return cls(len(found), float(changed.mean()), float(np.abs(found - fp32).max()))

    def __str__(self) -> str:
        """One line for a person."""
        return f"{self.changed:.2%} of {self.texts:,} texts that were held back from this choice"


class Gate:
    """The fp32 answers of a classifier, proved equal to PyTorch's, which quantised ones are held against.

    Args:
        classifier: In PyTorch.
        fp32: The same as a graph.
        validation: Texts with labels.
        others: Unlabelled texts, of which some choose and some are held back.
        notes: Told what cannot be judged.

    Raises:
        ParityError: The graph's logits differ from PyTorch's by more than 1e-4.
    """

    def __init__(
        self,
        classifier: Classifier,
        fp32: OnnxPredictor,
        validation: LabelledTexts,
        others: OtherTexts,
        notes: Notes,
    ) -> None:
        positive = classifier.labels.positive if len(classifier.labels) == 2 else None
        if positive is None:
            notes.say("the labels are not negative and positive: accuracy is not judged, changes of labels are")
        encode = classifier.encoder.encode
        self._validation = [text.ids for text in encode(validation.texts)]
        self._choosing = [text.ids for text in encode(others.choosing)]
        self._held_back = [text.ids for text in encode(others.held_back)]
        self._labels = None if positive is None else np.where(validation.labels == 1, positive, 1 - positive)
        self._graph = fp32
        self._fp32 = _answers(fp32, self._validation + self._choosing, "answers in fp32")
        sample = self._validation[:_COMPARED_IN_FP32]
        with Progress("answers of PyTorch", len(sample)) as progress:
            expected = classifier.predictor.logits(sample, progress.advance) / np.float32(classifier.temperature)
        self.parity = Parity.of(expected, self._fp32[: len(sample)])
        self.parity.require("the graph", GRAPH_TOLERANCE)

    def judge(self, predictor: OnnxPredictor) -> Verdict:
        """Hold a quantised graph against the fp32 answers, on the texts that choose."""
        found = _answers(predictor, self._validation + self._choosing, "answers in int8")
        texts = len(self._validation)
        return Verdict(
            validation=texts,
            accuracy_fp32=_accuracy(self._fp32[:texts], self._labels),
            accuracy=_accuracy(found[:texts], self._labels),
            unlabelled=len(self._choosing),
            changed=Changes.between(self._fp32[texts:], found[texts:]).changed,
            difference=float(np.abs(found - self._fp32).max()),
        )

    def measure(self, predictor: OnnxPredictor) -> Changes:
        """Hold the graph that was chosen against the fp32 answers, on the texts that were held back."""
        fp32 = _answers(self._graph, self._held_back, "held back, in fp32")
        return Changes.between(fp32, _answers(predictor, self._held_back, "held back, in int8"))


def _answers(predictor: OnnxPredictor, token_ids: Sequence[Sequence[int]], what: str) -> Logits:
    with Progress(what, len(token_ids)) as progress:
        return predictor.logits(token_ids, progress.advance)


def _accuracy(logits: Logits, labels: Optional[npt.NDArray[np.int64]]) -> float:
    return float("nan") if labels is None else float((logits.argmax(axis=1) == labels).mean())
