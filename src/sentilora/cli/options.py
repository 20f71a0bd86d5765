"""Command-line flags made from the settings' data classes."""

from __future__ import annotations

import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Callable, Optional, TypeVar, cast, get_args

import click
import msgspec

from sentilora.config import DeviceChoice, Setting, TrainConfig, settings_of
from sentilora.errors import OutputError
from sentilora.labels import LabelMap, parse_mapping
from sentilora.paths import local_path
from sentilora.tables import Columns

Command = TypeVar("Command", bound=Callable[..., Any])


class LocalPath(click.Path):
    """A file or folder here. Of `--output=~/runs` a shell leaves the `~` as it is; it means the same here."""

    def __init__(self, **checks: bool) -> None:
        super().__init__(path_type=Path, **checks)

    def convert(self, value: Any, param: Optional[click.Parameter], ctx: Optional[click.Context]) -> Any:
        """The path as a `Path`."""
        return super().convert(local_path(value), param, ctx)


def at_home(_context: click.Context, _option: click.Parameter, place: str) -> str:
    """The same for what may be a URL or - as well."""
    return os.path.expanduser(place)  # noqa: PTH111 - a `Path` would take a URL's slashes for its own


def parse_names(_context: click.Context, _option: click.Parameter, value: Optional[str]) -> Optional[list[str]]:
    """Read `NAME,NAME`."""
    return None if value is None else [name.strip() for name in value.split(",")]


device_option = click.option(
    "--device",
    type=click.Choice(get_args(DeviceChoice)),
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
    callback=parse_names,
    help="Names of the model's labels in their order, where it names none or others.",
)
precision_option = click.option(
    "--precision",
    metavar="SHARE",
    type=float,
    help="Answer `uncertain` below the confidence that made this share of the answers right on the validation texts.",
)
adapter_option = click.option("--adapter", metavar="NAME", help="Which adapter of a bundle with several.")
model_option = click.option(
    "--model",
    "-m",
    required=True,
    type=LocalPath(),
    help="A run, an adapter, a merged model or a bundle.",
)


def output_file(*endings: str) -> Callable[[click.Context, click.Parameter, Optional[Path]], Optional[Path]]:
    """A callback that refuses, before any work, a file of another kind, or one that cannot be written."""

    def refuse(_context: click.Context, option: click.Parameter, path: Optional[Path]) -> Optional[Path]:
        if path is None:
            return None
        if path.suffix.lower() not in endings:
            raise OutputError(f"{option.opts[0]} {path}: name a file that ends in {endings[0]}")
        refuse_unwritable(path)
        return path

    return refuse


def refuse_unwritable(path: Path) -> None:
    """Raise OutputError where no file can be written to `path`."""
    if path.is_dir():
        raise OutputError(f"{path} is a folder: name a file")
    if not path.parent.is_dir():
        raise OutputError(f"cannot write {path}: there is no folder {path.parent}; make it first")
    if not os.access(path.parent, os.W_OK):
        raise OutputError(f"cannot write {path}: {path.parent} is not yours to write")


report_option = click.option(
    "--report",
    metavar="FILE",
    type=LocalPath(),
    callback=output_file(".html", ".htm"),
    help="Also write a report, one .html file.",
)
overwrite_option = click.option("--overwrite", is_flag=True, help="Replace what is there.")


def column_options(command: Command) -> Command:
    """Give a command the flags that say what a table's columns hold, as one argument `columns`."""

    @functools.wraps(command)
    def with_columns(
        text_column: Optional[str], label_column: Optional[str], label_map: Optional[str], **arguments: Any
    ) -> Any:
        mapping = None if label_map is None else LabelMap.parse(parse_mapping(label_map))
        return command(columns=Columns(text_column, label_column, label_map=mapping), **arguments)

    flags = {setting.flag: setting for setting in settings_of(TrainConfig)}
    decorated: Any = with_columns
    for flag in ("--label-map", "--label-column", "--text-column"):
        decorated = click.option(flag, help=flags[flag].description)(decorated)
    return cast(Command, decorated)


def settings_options(config: type[msgspec.Struct]) -> Callable[[Command], Command]:
    """Give a command one flag for each setting of a configuration class."""

    def decorate(command: Command) -> Command:
        for setting in reversed(settings_of(config)):
            command = _option(setting)(command)
        return command

    return decorate


def nested(flags: Mapping[str, Any], config: type[msgspec.Struct]) -> dict[str, Any]:
    """The flags of a configuration class that were given, by their place in the configuration."""
    settings: dict[str, Any] = {}
    for setting in settings_of(config):
        value = flags[_parameter(setting)]
        if value is None:
            continue
        place = settings
        for key in setting.path[:-1]:
            place = place.setdefault(key, {})
        place[setting.path[-1]] = _PARSERS[setting.kind](value) if setting.kind in _PARSERS else value
    return settings


def _parts(written: str) -> list[str]:
    return [part.strip() for part in written.split(",") if part.strip()]


_PARSERS: dict[type, Callable[[str], Any]] = {tuple: _parts, dict: parse_mapping}


def _parameter(setting: Setting) -> str:
    return "_".join(setting.path)


def _option(setting: Setting) -> Callable[[Command], Command]:
    kind: Any = click.Choice(setting.choices) if setting.choices else setting.kind
    if setting.kind in _PARSERS:
        kind = str
    default = ",".join(setting.default) if setting.kind is tuple else setting.default
    shown = "" if default is None else f"  [default: {default}]"
    return click.option(setting.flag, _parameter(setting), type=kind, help=setting.description + shown)
