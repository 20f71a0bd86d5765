"""Cleaning as part of the tokenizer's own normaliser, so that it travels with the tokenizer's file."""

from __future__ import annotations

import json
import re

from tokenizers import Regex, Tokenizer, normalizers

# So written that "<br" with many spaces behind it takes linear time.
LINE_BREAK = r"<br(?:\s*/)?\s*>"
_LINE_BREAK_IN_ANY_CASE = f"(?i){LINE_BREAK}"
_QUADRATIC = r"(?i)<br\s*/?\s*>"  # the same, as saved tokenizers have it from before

# The five code points that Windows-1252 leaves undefined become spaces.
_UNDEFINED_IN_CP1252 = (0x81, 0x8D, 0x8F, 0x90, 0x9D)


def _cp1252_repairs() -> list[tuple[str, str]]:
    """C1 control characters, each with the Windows-1252 character it stands for in texts decoded as Latin-1."""
    repairs = [(chr(code), " ") for code in _UNDEFINED_IN_CP1252]
    repairs += [
        (chr(code), bytes([code]).decode("cp1252")) for code in range(0x80, 0xA0) if code not in _UNDEFINED_IN_CP1252
    ]
    return repairs


_REPAIRS = str.maketrans(dict(_cp1252_repairs()))


def clean(text: str) -> str:
    """The text as a cleaning tokenizer sees it: without HTML line breaks and C1 control characters."""
    return re.sub(_LINE_BREAK_IN_ANY_CASE, " ", text).translate(_REPAIRS)


def with_cleaning(tokenizer: Tokenizer) -> Tokenizer:
    """A copy of `tokenizer` that also turns HTML line breaks into spaces and repairs C1 control characters.

    A copy of a tokenizer that cleans already is equal to it: cleaning is added once.
    """
    copy: Tokenizer = Tokenizer.from_str(tokenizer.to_str())
    if cleans(copy):
        return copy
    steps = [normalizers.Replace(Regex(_LINE_BREAK_IN_ANY_CASE), " ")]
    steps += [normalizers.Replace(bad, good) for bad, good in _cp1252_repairs()]
    if copy.normalizer is not None:
        steps.append(copy.normalizer)
    copy.normalizer = normalizers.Sequence(steps)
    return copy


def cleans(tokenizer: Tokenizer) -> bool:
    """Whether the tokenizer's normaliser begins with the cleaning of `with_cleaning`."""
    normalizer = json.loads(tokenizer.to_str())["normalizer"]
    if normalizer is None or normalizer["type"] != "Sequence":
        return False
    first = normalizer["normalizers"][0]
    return bool(first["type"] == "Replace" and first["pattern"] == {"Regex": _LINE_BREAK_IN_ANY_CASE})


def with_linear_cleaning(content: str) -> str:
    """A `tokenizer.json` whose cleaning takes linear time, if it cleans."""
    return content.replace(json.dumps(_QUADRATIC), json.dumps(_LINE_BREAK_IN_ANY_CASE))
