"""Texts as people read them, and words as the audit counts them."""

from __future__ import annotations

import html
import re

from sentilora.text.cleaning import clean

_WORD = re.compile(r"\w+")


def folded_words(text: str) -> list[str]:
    """Runs of letters, digits and underscores, without case; a text that has none is one word as it stands."""
    return _WORD.findall(text.casefold()) or [text.strip()]


def readable(text: str) -> str:
    """The text without what only machines read: HTML line breaks and entities, control characters."""
    return html.unescape(clean(text))
