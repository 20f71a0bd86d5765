"""Words as the audit counts them."""

from __future__ import annotations

import re

_WORD = re.compile(r"\w+")


def folded_words(text: str) -> list[str]:
    """Runs of letters, digits and underscores, without case; a text that has none is one word as it stands."""
    return _WORD.findall(text.casefold()) or [text.strip()]
