"""The pages' templates."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from sentilora._version import __version__


def render(template: str, **values: Any) -> str:
    """A page: the template filled in, everything escaped that is not markup."""
    environment = Environment(
        loader=PackageLoader("sentilora", "reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    written = datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC")
    return environment.get_template(template).render(version=__version__, written=written, **values)
