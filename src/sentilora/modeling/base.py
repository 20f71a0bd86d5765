"""The frozen encoder: found by the name a user gives it, and checked."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from sentilora import hub
from sentilora.artifacts import TOKENIZER, WEIGHTS, BaseReference, sha256_of
from sentilora.errors import HubError, ModelError
from sentilora.modeling.embedded import EMBEDDED_SHA256, embedded_base
from sentilora.modeling.pretrained import refuse_other_architectures
from sentilora.notes import Notes
from sentilora.paths import local_path

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
    folder = local_path(name)
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


def _fetch(name: str, revision: Optional[str]) -> Path:
    try:
        return hub.fetch(name, _FILES, revision=revision)
    except hub.HubUnreachableError as error:
        raise HubError(f"{error}: use --base embedded, which needs no Hub, or --base with a folder") from None
