"""Write the parts of the documentation that are made from the code; with --check, only say whether they are current.

python scripts/generate_docs.py [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

import click
from formats_reference import formats
from http_reference import http_api

from sentilora.cli.app import cli
from sentilora.config import PretrainConfig, Setting, TrainConfig, settings_of

DOCS = Path(__file__).resolve().parents[1] / "docs"


def command_line() -> str:
    """`--help` of every command."""
    parts = ["# Command line\n", "Made from `--help` by `make docs`.\n", _help(cli, "sentilora")]
    parts += [_help(command, f"sentilora {name}") for name, command in sorted(cli.commands.items())]
    return "\n".join(parts)


def configuration() -> str:
    """Every setting of a training, and of a pretraining."""
    parts = [
        "# Configuration\n\nMade from `sentilora.config` by `make docs`. The same settings are keys of a YAML file, "
        "flags of the command,\nand arguments of the function.\n"
    ]
    for config, command in ((TrainConfig, "train"), (PretrainConfig, "pretrain")):
        parts.append(f"## sentilora {command}\n\n| setting | flag | default | meaning |\n|---|---|---|---|")
        parts += [_row(setting) for setting in settings_of(config)]
        parts.append("")
    return "\n".join(parts)


def _row(setting: Setting) -> str:
    default = ", ".join(setting.default) if setting.kind is tuple else setting.default
    choices = f" One of {', '.join(f'`{choice}`' for choice in setting.choices)}." if setting.choices else ""
    shown = "" if default is None else f"`{default}`"
    return f"| `{'.'.join(setting.path)}` | `{setting.flag}` | {shown} | {setting.description}{choices} |"


def _help(command: click.Command, name: str) -> str:
    context = click.Context(
        command, info_name=name, help_option_names=["-h", "--help"], max_content_width=100, terminal_width=100
    )
    return f"## {name}\n\n```text\n{command.get_help(context)}\n```\n"


PAGES = {"cli.md": command_line, "configuration.md": configuration, "formats.md": formats, "http-api.md": http_api}


def main() -> None:
    """Write or check the pages."""
    stale = []
    for name, page in PAGES.items():
        path, content = DOCS / name, page()
        if path.is_file() and path.read_text("utf-8") == content:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(content, "utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"out of date: {', '.join(stale)}; run make docs")


if __name__ == "__main__":
    main()
