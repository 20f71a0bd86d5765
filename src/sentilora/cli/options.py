"""Command-line flags made from the settings' data classes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Callable, TypeVar

import click

from sentilora.config import Setting, TrainConfig, settings_of

Command = TypeVar("Command", bound=Callable[..., Any])

device_option = click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda", "mps"]),
    default="auto",
    show_default=True,
    help="Where to compute.",
)
base_option = click.option(
    "--base",
    metavar="BASE",
    help="Where an adapter's base is, if elsewhere than recorded; its weights must be the same.",
)
labels_option = click.option(
    "--labels",
    metavar="NAME,NAME",
    callback=lambda _context, _option, value: value and value.split(","),
    help="Names of the model's labels in their order, where it names none or others.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what is there.")


def train_settings(command: Command) -> Command:
    """Give a command one flag for each setting of `TrainConfig`."""
    for setting in reversed(settings_of(TrainConfig)):
        command = _option(setting)(command)
    return command


def nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    """The flags that were given, by their place in the configuration."""
    settings: dict[str, Any] = {}
    for setting in settings_of(TrainConfig):
        value = flags[_parameter(setting)]
        if value is None:
            continue
        place = settings
        for key in setting.path[:-1]:
            place = place.setdefault(key, {})
        place[setting.path[-1]] = value.split(",") if setting.kind is tuple else value
    return settings


def _parameter(setting: Setting) -> str:
    return "_".join(setting.path)


def _option(setting: Setting) -> Callable[[Command], Command]:
    kind: Any = click.Choice(setting.choices) if setting.choices else str if setting.kind is tuple else setting.kind
    default = ",".join(setting.default) if setting.kind is tuple else setting.default
    shown = "" if default is None else f"  [default: {default}]"
    return click.option(setting.flag, _parameter(setting), type=kind, help=setting.description + shown)
