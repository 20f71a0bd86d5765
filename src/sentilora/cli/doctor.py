"""`sentilora doctor`."""

from __future__ import annotations

import platform
import re
import urllib.request
from importlib import metadata

import click

from sentilora._version import __version__
from sentilora.cli.render import console, facts_table
from sentilora.errors import SentiloraError, in_one_line

_PACKAGES = ("torch", "transformers", "peft", "accelerate", "datasets", "evaluate", "tokenizers", "pyarrow", "numpy")
_SECONDS = 5


@click.command(short_help="Say what is installed and what can be reached.")
def doctor() -> None:
    """Say what is installed, where it would compute, and whether the bases can be had."""
    facts = {"sentilora": __version__, "Python": f"{platform.python_version()} on {platform.platform()}"}
    facts.update({package: _version(package) for package in _PACKAGES})
    facts["device"] = _device()
    facts["Hub"] = _hub()
    facts["embedded base"] = _embedded()
    console().print(facts_table(facts))


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return "not installed (pip install 'sentilora[train]')"


def _device() -> str:
    try:
        from sentilora.modeling.devices import choose_device, choose_precision  # noqa: PLC0415 - needs torch
    except ModuleNotFoundError:
        return "unknown: torch is not installed"
    except Exception as error:  # noqa: BLE001 - a broken installation raises anything
        return f"unknown: PyTorch cannot be imported ({in_one_line(error)})"
    from sentilora.notes import Notes  # noqa: PLC0415

    device = choose_device("auto", Notes())
    return f"{device.type}, training in {choose_precision('auto', device, Notes())}"


def _hub() -> str:
    from huggingface_hub import constants  # noqa: PLC0415 - slow to import

    if constants.HF_HUB_OFFLINE:
        return "not asked: HF_HUB_OFFLINE is set"
    place = re.sub(r"//[^/@]*@", "//", constants.ENDPOINT)  # without a password
    try:
        with urllib.request.urlopen(f"{constants.ENDPOINT}/api/models?limit=1", timeout=_SECONDS):  # noqa: S310
            return f"reachable at {place}"
    except Exception as error:  # noqa: BLE001 - an address may be anything
        return f"not reachable at {place} ({getattr(error, 'reason', error)}): use --base embedded"


def _embedded() -> str:
    try:
        from sentilora.modeling.embedded import installed_source, verify_source  # noqa: PLC0415 - needs torch
    except ModuleNotFoundError:
        return "unknown: torch is not installed"
    except Exception as error:  # noqa: BLE001 - the same
        return f"unknown: PyTorch cannot be imported ({in_one_line(error)})"
    folder = installed_source()
    if folder is None:
        return "not installed: pip install 'sentilora[embedded]'"
    try:
        verify_source(folder)
    except SentiloraError as error:
        return f"damaged: {error}"
    return "intact"
