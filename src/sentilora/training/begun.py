"""A training that was begun, and may only go on with the settings it was begun with."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Callable, Optional, TypeVar

import msgspec

from sentilora.artifacts import CHECKPOINT_FOLDER, CONFIG_FILE, write_file
from sentilora.config import PretrainConfig, TrainConfig, dump_config
from sentilora.errors import ConfigError, OutputError

_Config = TypeVar("_Config", TrainConfig, PretrainConfig)


def claim(folder: Path, config: _Config, load: Callable[[str], _Config], overwrite: bool) -> None:
    """Make sure that what grows in `folder`, which is this process's own, is of this configuration; note that it is.

    Raises:
        OutputError: It was begun with other settings, or by a version with others, and `overwrite` is false.
    """
    path = folder / CONFIG_FILE
    changed = _changed(path, config, load) if path.is_file() else None
    if changed is not None:
        if not overwrite:
            raise OutputError(
                f"{folder} holds a training begun {changed}, choose another --output, or pass --overwrite to begin anew"
            )
        shutil.rmtree(folder / CHECKPOINT_FOLDER, ignore_errors=True)
    _sweep(folder)
    write_file(path, dump_config(config).encode())


def _changed(path: Path, config: _Config, load: Callable[[str], _Config]) -> Optional[str]:
    """How the configuration that was begun with differs, and what would go on; None where it does not."""
    try:
        begun = load(str(path))
    except ConfigError as error:
        return f"by another version ({error}): go on with that one"
    changed = [name for name, value in msgspec.structs.asdict(config).items() if value != getattr(begun, name)]
    return f"with other settings ({', '.join(changed)}): give the same to go on" if changed else None


def _sweep(folder: Path) -> None:
    """Remove what a killed process was writing or replacing, which would lie in the run, and never be looked at."""
    for place in (folder, folder / CHECKPOINT_FOLDER):
        for stray in (*place.glob(".*.tmp"), *place.glob(".*.old")):
            if stray.is_dir():
                shutil.rmtree(stray)
            else:
                stray.unlink()
