"""What a card is not to tell: the folders of the machine that a model was made on."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any

import msgspec

from sentilora.artifacts import Manifest


def short(place: str) -> str:
    """The last part of an absolute path; anything else as it is."""
    path = PurePath(place)
    return path.name if path.is_absolute() and path.name else place


def folders_of(manifest: Manifest) -> list[str]:
    """The folders of absolute paths that a manifest's training names, the longest first, with a slash at the end."""
    places = [manifest.base.id, *(() if manifest.training is None else _strings(manifest.training.python))]
    parents = {PurePath(place).parent for place in places if PurePath(place).is_absolute()}
    return sorted((f"{parent}/" for parent in parents if parent.name), key=len, reverse=True)


def without_places(manifest: Manifest) -> Manifest:
    """The manifest with every absolute path that its training names cut down to what stands after its folder."""
    folders = folders_of(manifest)
    if not folders:
        return manifest
    pattern = re.compile(rf"(?<![\w.:/-])(?:{'|'.join(map(re.escape, folders))})")
    return msgspec.convert(_cut(msgspec.to_builtins(manifest), pattern), Manifest)


def _strings(source: str) -> Iterator[str]:
    """The literal strings of a Python call."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def _cut(value: Any, pattern: re.Pattern[str]) -> Any:
    if isinstance(value, str):
        return pattern.sub("", value)
    if isinstance(value, dict):
        return {key: _cut(one, pattern) for key, one in value.items()}
    return [_cut(one, pattern) for one in value] if isinstance(value, (list, tuple)) else value
