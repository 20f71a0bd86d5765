"""The object that answers: texts in, predictions out."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from itertools import islice
from typing import Any, Callable, Optional, Union, overload

import numpy as np
import numpy.typing as npt

from sentilora.artifacts import AbstentionPoint, ModelFolder, PathLike, open_model
from sentilora.config import DeviceChoice
from sentilora.errors import ConfigError, MissingExtraError, ModelError
from sentilora.inference.abstention import UNCERTAIN, point_for
from sentilora.inference.predictor import Logits, Predictor
from sentilora.labels import Labels
from sentilora.notes import Notes
from sentilora.text import EncodedText, TextEncoder


@dataclass(frozen=True)
class Prediction:
    """The answer for one text.

    Attributes:
        text: As it was given.
        label: Name of the most probable label; `uncertain` below the confidence that a wanted precision asks for.
        confidence: The most probable label's probability, in [0, 1].
        p_positive: Probability of the positive label; None for a classifier that does not know negative and positive.
        probabilities: Of every label, in the order of the classifier's labels; they sum to 1.
        truncated: Whether the text was too long to be read whole.
        readable: Whether it holds anything that the model knows; where not (emojis alone, say) the answer means
            nothing.
    """

    text: str
    label: str
    confidence: float
    p_positive: Optional[float]
    probabilities: tuple[float, ...]
    truncated: bool
    readable: bool


class Classifier:
    """Owns encoding, probabilities and labels; a `Predictor` does the arithmetic.

    Attributes:
        labels: Their names, in the order of the probabilities.
        encoder: From texts to token ids.
        predictor: From token ids to logits.
        temperature: The logits are divided by this before the softmax.
        abstention: What each confidence gave on the validation texts, from the lowest to the highest.
        answers_from: The point below whose confidence the label is `uncertain`; None where every answer is given.
        notes: What was assumed while loading.
    """

    def __init__(
        self,
        predictor: Predictor,
        encoder: TextEncoder,
        labels: Labels,
        temperature: float = 1.0,
        notes: Optional[Notes] = None,
        abstention: tuple[AbstentionPoint, ...] = (),
    ) -> None:
        self.predictor = predictor
        self.encoder = encoder
        self.labels = labels
        self.temperature = temperature
        self.abstention = abstention
        self.answers_from: Optional[AbstentionPoint] = None
        self.notes = notes or Notes()

    @classmethod
    def load(
        cls,
        path: PathLike,
        *,
        adapter: Optional[str] = None,
        base: Optional[str] = None,
        device: DeviceChoice = "auto",
        labels: Optional[Sequence[str]] = None,
        precision: Optional[float] = None,
        threads: Optional[int] = None,
    ) -> Classifier:
        """Load a run, an adapter (ours or made by plain PEFT), a standalone model, or a bundle.

        Args:
            path: The folder, or the model's name on the Hub: `owner/name` or `owner/name@revision`.
            adapter: Which one of a bundle with several.
            base: The adapter's base, where it is to be found elsewhere than recorded; its weights must be the same.
            device: Where to compute; `auto` takes CUDA, then MPS, then the CPU.
            labels: Names for the labels, in the order of the logits, where the folder names none or others.
            precision: Wanted share of right answers among those given: a text below the confidence that reached it on
                the validation texts gets the label `uncertain`. None answers every text.
            threads: Cores that a bundle uses; None takes all that the process may.

        Raises:
            ConfigError: What is asked for does not go with a model of this kind, or `precision` is out of range.
            ModelError: There is no sound model there, the base's weights are not those the adapter was trained on,
                `labels` are not as many as the model's, or no confidence reaches `precision`.
            HubError: The adapter's base is on the Hub, which cannot be reached.
            MissingExtraError: The folder needs PyTorch, which is not installed.
        """
        notes = Notes()
        folder = open_model(path, notes)
        _refuse_what_does_not_apply(folder, adapter, base, device)
        if folder.kind == "bundle":
            from sentilora.inference.bundle import Bundle  # noqa: PLC0415 - which makes classifiers

            classifier = Bundle.open(folder, threads=threads).classifier(adapter)
            classifier.notes = notes
        else:
            classifier = _in_torch(folder, base, device, notes)
        if labels is not None:
            classifier.labels = _renamed(classifier.labels, labels)
        if precision is not None:
            classifier.answers_from = point_for(precision, classifier.abstention)
            classifier.notes.say(str(classifier.answers_from))
        return classifier

    @overload
    def __call__(self, texts: str) -> Prediction: ...  # type: ignore[overload-overlap] # a str is a Sequence of str
    @overload
    def __call__(self, texts: Sequence[str]) -> list[Prediction]: ...
    def __call__(self, texts: Union[str, Sequence[str]]) -> Union[Prediction, list[Prediction]]:
        """Classify one text, which gives one prediction, or several, which give a list in their order."""
        if isinstance(texts, str):
            return self.predict([texts])[0]
        return self.predict(texts)

    def predict(self, texts: Sequence[str], on_batch: Optional[Callable[[int], Any]] = None) -> list[Prediction]:
        """Classify several texts; `on_batch` is called now and then with the number of texts computed since.

        Raises:
            DataError: One of them cannot be read.
        """
        _refuse_one_text(texts)
        texts = texts.to_pylist() if hasattr(texts, "to_pylist") else list(texts)  # as Arrow has them
        if not texts:
            return []
        encoded = self.encoder.encode(texts)
        return self.predictions(texts, encoded, self.predictor.logits([text.ids for text in encoded], on_batch))

    def predict_iter(self, texts: Iterable[str], batch_size: int = 256) -> Iterator[Prediction]:
        """Classify a stream, holding at most `batch_size` texts at a time.

        Raises:
            ConfigError: `batch_size` is below 1.
            DataError: A text cannot be read.
        """
        _refuse_one_text(texts)
        if batch_size < 1:
            raise ConfigError(f"batch_size={batch_size}: at least 1 text at a time")
        stream = iter(texts)
        while batch := list(islice(stream, batch_size)):
            yield from self.predict(batch)

    def probabilities(self, logits: Logits) -> npt.NDArray[np.float64]:
        """Probabilities, float64 [n, labels], of logits [n, labels] divided by the temperature."""
        scaled = logits.astype(np.float64) / self.temperature
        exponentials = np.exp(scaled - scaled.max(axis=1, keepdims=True))
        return np.asarray(exponentials / exponentials.sum(axis=1, keepdims=True))

    def predictions(self, texts: Sequence[str], encoded: Sequence[EncodedText], logits: Logits) -> list[Prediction]:
        """Predictions of texts whose logits are known already."""
        if not all(text.readable for text in encoded):
            self.notes.say("a text holds no word that the model knows (emojis alone, say): its answer means nothing")
        positive = self.labels.positive
        least = 0.0 if self.answers_from is None else self.answers_from.confidence
        return [
            Prediction(
                text=text,
                label=self.labels.names[int(row.argmax())] if row.max() >= least else UNCERTAIN,
                confidence=float(row.max()),
                p_positive=None if positive is None else float(row[positive]),
                probabilities=tuple(row.tolist()),
                truncated=ids.truncated,
                readable=ids.readable,
            )
            for text, ids, row in zip(texts, encoded, self.probabilities(logits))
        ]


def _refuse_one_text(texts: Iterable[str]) -> None:
    """What would be gone through, and mean something else: the letters of a text, the columns of a table."""
    if isinstance(texts, (str, bytes)):
        raise TypeError("several texts are expected, and each letter of one would be taken for one: give [text]")
    if isinstance(texts, Mapping) or hasattr(texts, "columns") or hasattr(texts, "column_names"):
        raise TypeError("a list of texts is expected, not a table: give its column, such as frame['text'].tolist()")
    if isinstance(texts, Set) or not isinstance(texts, Iterable):
        raise TypeError(f"a list of texts is expected, not a {type(texts).__name__}")


def _refuse_what_does_not_apply(
    folder: ModelFolder, adapter: Optional[str], base: Optional[str], device: DeviceChoice
) -> None:
    if folder.kind != "bundle" and adapter is not None:
        raise ConfigError(f"--adapter {adapter}: {folder.path} is no bundle of several; leave it out")
    if folder.kind != "adapter" and base is not None:
        raise ConfigError(f"--base {base}: {folder.path} is no adapter, and needs none; leave it out")
    if folder.kind == "bundle" and device not in ("auto", "cpu"):
        raise ConfigError(f"--device {device}: a bundle computes on the CPU; leave it out")


def _in_torch(folder: ModelFolder, base: Optional[str], device: DeviceChoice, notes: Notes) -> Classifier:
    try:
        # By name: this room stands below the torch wing, and must import without torch.
        loading = importlib.import_module("sentilora.modeling.loading")
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from None
    classifier: Classifier = loading.load_classifier(folder, base, device, notes)
    return classifier


def _renamed(labels: Labels, names: Sequence[str]) -> Labels:
    if len(names) != len(labels) or len({*names, "", UNCERTAIN}) != len(names) + 2:
        raise ModelError(
            f"--labels must give {len(labels)} different names, in place of {', '.join(labels.names)}, "
            f"and none of them '{UNCERTAIN}'"
        )
    return Labels(tuple(names))
