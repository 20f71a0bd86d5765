"""What to type to make a run again: a shell command and a Python call."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Optional

from sentilora.config import Setting, TrainConfig, settings_of
from sentilora.tables import FROM_PYTHON


def shell_command(config: TrainConfig, output: Path) -> Optional[str]:
    """The `sentilora train` that makes the run at `output`; None where texts came from Python."""
    if FROM_PYTHON in (config.data, config.validation):
        return None
    flags = [part for setting, value in _changed(config) for part in (setting.flag, _as_flag(value))]
    return shlex.join(["sentilora", "train", *flags, "--output", str(output)])


def python_call(config: TrainConfig, output: Path) -> str:
    """The same as a Python call; texts that came from Python are written as a name, `data` or `validation`."""
    nested: dict[str, Any] = {}
    for setting, value in _changed(config):
        place = nested
        for key in setting.path[:-1]:
            place = place.setdefault(key, {})
        place[setting.path[-1]] = value
    arguments = [f"{name}={name if value == FROM_PYTHON else repr(value)}" for name, value in nested.items()]
    return f"sentilora.train({', '.join([*arguments, f'output={str(output)!r}'])})"


def _changed(config: TrainConfig) -> Iterator[tuple[Setting, Any]]:
    """The settings that are not the default, and the data always."""
    for setting in settings_of(TrainConfig):
        value: Any = config
        for key in setting.path:
            value = getattr(value, key)
        if value != setting.default or setting.path in (("data",), ("base",)):
            yield setting, value


def _as_flag(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    if isinstance(value, dict):
        return ",".join(f"{key}={meaning}" for key, meaning in value.items())
    return str(value)
