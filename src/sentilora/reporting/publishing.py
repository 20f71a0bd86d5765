"""Putting a model on the Hub: whole, checked, and nothing else."""

from __future__ import annotations

import re
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Optional

from sentilora import hub
from sentilora.artifacts import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    BUNDLE_ADAPTER_FOLDER,
    BUNDLE_ADAPTER_WEIGHTS,
    GRAPH,
    GRAPH_WEIGHTS,
    MANIFEST,
    README,
    TOKENIZER,
    Manifest,
    ModelFolder,
    PathLike,
    open_model,
    pickles_in,
    read_manifest,
    read_object,
)
from sentilora.errors import HubError, ModelError
from sentilora.notes import Notes
from sentilora.reporting.places import folders_of

_REPOSITORY = re.compile(r"[\w.-]+/[\w.-]+")


@dataclass(frozen=True)
class Published:
    """A model on the Hub.

    Attributes:
        url: Where it can be looked at.
        commit: Of the Hub.
        files: Their names there.
        notes: What the user should know.
    """

    url: str
    commit: str
    files: tuple[str, ...]
    notes: tuple[str, ...]


def publish(
    path: PathLike,
    repository: str,
    *,
    private: bool = False,
    revision: Optional[str] = None,
    message: Optional[str] = None,
) -> Published:
    """Push a run's adapter, an adapter, a standalone model or a bundle to the Hub, in one commit.

    What `sentilora.json` lists, the manifest itself and the README are pushed, after their sha256 was checked; other
    files in the folder stay here. The token is the one that the Hub's own tools use.

    Args:
        path: The folder.
        repository: `owner/name`; made if it is not there.
        private: Whether the repository is to be private; one that is there must be so already.
        revision: Branch; None means `main`.
        message: Of the commit.

    Raises:
        ModelError: The folder is not one that sentilora made, is damaged, or holds pickled files.
        HubError: The Hub cannot be reached, or refuses.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise HubError(f"'{repository}' is no name for a repository: write owner/name")
    if not Path(path).is_dir():
        raise ModelError(f"no folder at {path}: name a run, an adapter, a merged model or a bundle")
    notes = Notes()
    folder = open_model(path)
    files = _files_of(folder, notes)
    _warn_of_places(folder, notes)
    pushed = hub.push(
        repository,
        files,
        _is_of_a_model,
        message or f"Publish {_NAMES[folder.kind]} with sentilora",
        private=private,
        revision=revision,
    )
    if pushed.removed:
        notes.say(f"removed from the repository, as they belonged to what was there: {', '.join(pushed.removed)}")
    return Published(pushed.url, pushed.commit, tuple(files), tuple(notes))


def _is_of_a_model(name: str) -> bool:
    """Whether a file of a repository is of the model that was there: by its name, which models' files have."""
    *folders, file = name.split("/")
    placed = not folders or (len(folders) == 2 and folders[0] == BUNDLE_ADAPTER_FOLDER)
    return placed and any(fnmatch(file, pattern) for pattern in _REPLACED)


_REPLACED = (
    *(MANIFEST, "config.json", ADAPTER_CONFIG, ADAPTER_WEIGHTS, BUNDLE_ADAPTER_WEIGHTS, GRAPH, GRAPH_WEIGHTS),
    *("model*.safetensors", "model.safetensors.index.json", TOKENIZER, "tokenizer_config.json"),
    *("special_tokens_map.json", "vocab.txt"),
)
_NAMES = {"adapter": "an adapter", "merged": "a model", "bundle": "a bundle"}


def _files_of(folder: ModelFolder, notes: Notes) -> dict[str, Path]:
    """What is to be published, by its name in the repository; all of it sealed and whole, but for the README.

    Raises:
        ModelError: There is no manifest, or a pickle somewhere in the folder.
    """
    if folder.manifest is None:
        raise ModelError(f"{folder.path} has no {MANIFEST}: only what sentilora made is published")
    found = sorted(file for file in folder.path.rglob("*") if file.is_file())
    pickles = pickles_in(found)
    if pickles:
        raise ModelError(f"{pickles[0]} may be a pickle, which can run code when loaded: remove it")
    has_card = (folder.path / README).is_file()
    if not has_card:
        notes.say(f"{folder.path} has no {README}: it is published without a model card")
    names = [*_sealed(folder.manifest), *([README] if has_card else [])]
    for place in sorted((folder.path / BUNDLE_ADAPTER_FOLDER).glob("*/")):
        adapter = read_manifest(place)
        if adapter is None:
            raise ModelError(f"{place} has no {MANIFEST}: only what sentilora made is published")
        names += [f"{BUNDLE_ADAPTER_FOLDER}/{place.name}/{name}" for name in _sealed(adapter)]
    files = {name: folder.path / name for name in names}
    others = [str(file.relative_to(folder.path)) for file in found if file not in files.values()]
    if others:
        notes.say(f"left out, as {MANIFEST} does not know them: {', '.join(others)}")
    return files


def _sealed(manifest: Manifest) -> list[str]:
    return [MANIFEST, *manifest.files]


def _warn_of_places(folder: ModelFolder, notes: Notes) -> None:
    """Say where what is published names folders of this machine, and which of them is an adapter's base."""
    base = None if folder.manifest is None else folder.manifest.base
    if folder.manifest is not None and (folders := folders_of(folder.manifest)):
        notes.say(f"{MANIFEST} tells of the folder {folders[0]} of this machine, which {README} does not")
    if folder.kind != "adapter" or base is None or base.revision is not None:
        return
    if base.id != "embedded":
        notes.say(f"the base is the folder {base.id} of this machine: others must have it, and name it with --base")
    named = read_object(folder.path / ADAPTER_CONFIG).get("base_model_name_or_path")
    notes.say(f"plain PEFT will look for the base at {named}, as {ADAPTER_CONFIG} says; sentilora will not")
