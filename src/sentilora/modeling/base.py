"""The frozen encoder: found by name, checked, and loaded with a fresh head."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

import torch
from tokenizers import Tokenizer
from transformers import AutoModelForSequenceClassification, AutoTokenizer, PreTrainedModel
from transformers.utils import logging as transformers_logging

from sentilora import hub
from sentilora.artifacts import TOKENIZER, WEIGHTS, BaseReference, sha256_of
from sentilora.errors import HubError, ModelError
from sentilora.labels import Labels
from sentilora.modeling.embedded import EMBEDDED_SHA256, embedded_base
from sentilora.notes import Notes

EMBEDDED = "embedded"

_FILES = ("config.json", WEIGHTS, TOKENIZER, "tokenizer_config.json", "vocab.txt")


@dataclass(frozen=True)
class Base:
    """A DistilBERT encoder on this machine.

    Attributes:
        folder: With `config.json`, `model.safetensors` and the tokenizer.
        reference: What an adapter's manifest keeps of it.
    """

    folder: Path
    reference: BaseReference

    @property
    def name_for_plain_tools(self) -> str:
        """What plain PEFT finds it by: the Hub id, or the folder on this machine."""
        return self.reference.id if self.reference.revision is not None else str(self.folder.resolve())


def find_base(name: str, notes: Notes, revision: Optional[str] = None) -> Base:
    """Find a base by the name a user gives it.

    Args:
        name: `embedded`, a folder, or a Hub id; a folder of that name wins over the Hub.
        revision: The Hub's commit to take; None takes the newest.
        notes: Told where the base was taken from, if that is not plain from its name.

    Raises:
        ModelError: It is not a DistilBERT, or its weights are not there as safetensors.
        HubError: The Hub cannot be reached, or has no such model.
    """
    if name == EMBEDDED:
        return Base(embedded_base(notes), BaseReference(id=EMBEDDED, sha256=EMBEDDED_SHA256))
    folder = Path(name).expanduser()
    commit = None
    if not folder.is_dir():
        folder = _fetch(name, revision)
        commit = folder.name
    refuse_other_architectures(folder)
    if not (folder / WEIGHTS).is_file():
        raise ModelError(f"base {name} has no {WEIGHTS}: pickled weights are not read; save it as safetensors")
    identity = str(folder.resolve()) if commit is None else name
    reference = BaseReference(id=identity, sha256=sha256_of(folder / WEIGHTS), revision=commit)
    return Base(folder, reference)


def load_pretrained(
    folder: Path, labels: Labels, dropout: Optional[float] = None, attention_dropout: Optional[float] = None
) -> PreTrainedModel:
    """The model in `folder` for classification, in fp32; a head that the folder does not hold is random.

    Args:
        folder: A base, or a standalone model.
        labels: Names of the head's labels.
        dropout: Of the encoder's activations; None keeps the folder's own. The head's dropout stays its own.
        attention_dropout: Of the attention weights; None keeps the folder's own.
    """
    dropouts = {"dropout": dropout, "attention_dropout": attention_dropout}
    with transformers_silenced():  # it would warn that the head is new, which is as it must be
        model: PreTrainedModel = AutoModelForSequenceClassification.from_pretrained(
            folder,
            dtype=torch.float32,
            num_labels=len(labels),
            id2label=labels.id2label,
            label2id={name: index for index, name in labels.id2label.items()},
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
            **{name: share for name, share in dropouts.items() if share is not None},
        )
    return model


@contextlib.contextmanager
def transformers_silenced() -> Iterator[None]:
    """No warnings and no progress bars of Transformers in this block."""
    verbosity = transformers_logging.get_verbosity()
    transformers_logging.set_verbosity_error()
    transformers_logging.disable_progress_bar()
    try:
        yield
    finally:
        transformers_logging.set_verbosity(verbosity)
        transformers_logging.enable_progress_bar()


def load_tokenizer(folder: Path) -> Tokenizer:
    """The fast tokenizer of a base, made from its vocabulary where it has no `tokenizer.json`.

    Raises:
        ModelError: The folder has no tokenizer.
    """
    if (folder / TOKENIZER).is_file():
        return Tokenizer.from_file(str(folder / TOKENIZER))
    try:
        slow = AutoTokenizer.from_pretrained(folder, use_fast=True, local_files_only=True, trust_remote_code=False)
        tokenizer: Tokenizer = slow.backend_tokenizer
    except (OSError, ValueError, AttributeError):
        raise ModelError(f"{folder} has no tokenizer: it needs {TOKENIZER} or vocab.txt") from None
    return tokenizer


def _fetch(name: str, revision: Optional[str]) -> Path:
    try:
        return hub.fetch(name, _FILES, revision=revision)
    except hub.HubUnreachableError as error:
        raise HubError(f"{error}: use --base embedded, which needs no Hub, or --base with a folder") from None


def refuse_other_architectures(folder: Path) -> None:
    """Raise ModelError unless the folder's config is of a DistilBERT model."""
    try:
        kind = json.loads((folder / "config.json").read_text("utf-8")).get("model_type")
    except (OSError, ValueError):
        raise ModelError(f"{folder} is not a model: it has no readable config.json") from None
    if kind != "distilbert":
        raise ModelError(f"{folder} is a '{kind}' model: bases are DistilBERT models")
