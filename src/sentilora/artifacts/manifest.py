"""What `sentilora.json` says of the folder it lies in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, Optional

import msgspec

from sentilora._version import __version__
from sentilora.config import Truncation

FORMAT_VERSION = 1


@dataclass(frozen=True)
class Interval:
    """A number measured on a sample, with its 95% interval.

    Attributes:
        value: As measured.
        low: The true one lies below in 2.5% of such samples.
        high: It lies above in as many.
    """

    value: float
    low: float
    high: float


class BaseReference(msgspec.Struct, frozen=True, kw_only=True):
    """Which frozen encoder an adapter belongs to.

    Attributes:
        id: As the user named it: `embedded`, a Hub id, or a folder.
        sha256: Of the encoder's weights file, in hexadecimal.
        revision: The Hub's commit, where it came from the Hub.
    """

    id: str
    sha256: str
    revision: Optional[str] = None


class AbstentionPoint(msgspec.Struct, frozen=True):
    """What answering only at or above a confidence gave on the validation texts.

    Attributes:
        confidence: The least that is answered, in [0, 1].
        precision: Share of right answers among those given.
        coverage: Share of the texts that were answered.
        texts: How many those are; None where it was not kept.
        at_least: Lower end of the precision's 95% interval (Wilson's), in [0, 1]; None where it was not kept.
    """

    confidence: float
    precision: float
    coverage: float
    texts: Optional[int] = None
    at_least: Optional[float] = None

    def __str__(self) -> str:
        """One line for a person."""
        answered = f"{self.coverage:.1%}" if self.texts is None else f"{self.texts:,} ({self.coverage:.1%})"
        sure = "" if self.at_least is None else f"; of so many, {self.at_least:.1%} may be the truth"
        return (
            f"answering from a confidence of {self.confidence:.3f} on, which on the validation texts was right for "
            f"{self.precision:.1%} of the {answered} that it answered{sure}"
        )


class Probe(msgspec.Struct, frozen=True, kw_only=True):
    """A text of ours and how it was answered where a bundle was made.

    Attributes:
        text: The text.
        logits: Of each label.
    """

    text: str
    logits: tuple[float, ...]


class Training(msgspec.Struct, frozen=True, kw_only=True):
    """How a model was trained, for its card; it stays with the model when that is merged or exported.

    Attributes:
        name: Of the run.
        data: The training texts as the user named them, None where they came from Python.
        texts: The training texts in one line: how many, from where, what was dropped of these alone.
        validation: The validation texts in one line.
        split: How the two were parted, in one line, and what was dropped of the source that both come from.
        encoding: What truncation and the vocabulary cost the training texts, in one line.
        course: Epochs, device, precision and time, in one line.
        settings: The whole configuration, as its YAML has it.
        command: The shell command that makes it; None where the texts came from Python.
        python: The same as a Python call.
        scores: Of the validation texts, calibrated, each with its interval.
        temperature: What was fitted, also where it is folded into the weights by now.
        uncalibrated: `ece`, `brier` and `log_loss` of the validation texts without the temperature.
        calibrated: The same with it.
        versions: Of what it was made with.
    """

    name: str
    data: Optional[str]
    texts: str
    validation: str
    split: str
    encoding: str
    course: str
    settings: dict[str, Any]
    command: Optional[str]
    python: str
    scores: dict[str, Interval]
    temperature: float
    uncalibrated: dict[str, float]
    calibrated: dict[str, float]
    versions: dict[str, str]


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What `sentilora.json` says of the folder it lies in.

    Attributes:
        kind: What the folder holds.
        labels: Names, in the order of the logits; none for a bundle whose adapters have their own.
        max_length: Most tokens of a text, special tokens included.
        truncation: What is kept of a longer text.
        temperature: The logits are divided by this before the softmax; 1 where it is folded into the weights.
        base: The frozen encoder.
        abstention: From the lowest confidence to the highest, to look up the one that a wanted precision asks for.
        metrics: On the validation texts at the time of saving, each in [0, 1] but for counts.
        training: How it was trained; None where that is not known.
        notes: What was assumed or fell back while making it.
        files: sha256 of every file beside the manifest but the README, which people edit.
        quantisation: How a bundle's graph computes.
        graph: sha256 of the graph that a bundle's adapter belongs to.
        gate: How far a bundle's answers are from those of the model it was made of; `unlabelled`, `changed` and
            `difference` on texts that were held back, and `choosing` ones chose how it computes.
        probes: A few answers, to be checked on each machine that opens a bundle.
        format: Version of this format.
        sentilora: Version that wrote it.
    """

    kind: Literal["adapter", "merged", "bundle", "bundle-adapter"]
    labels: tuple[str, ...]
    max_length: int
    truncation: Truncation
    base: BaseReference
    temperature: float = 1.0
    abstention: tuple[AbstentionPoint, ...] = ()
    metrics: dict[str, float] = {}
    training: Optional[Training] = None
    notes: tuple[str, ...] = ()
    files: dict[str, str] = {}
    quantisation: str = ""
    graph: str = ""
    gate: dict[str, float] = {}
    probes: tuple[Probe, ...] = ()
    format: int = FORMAT_VERSION
    sentilora: str = __version__
