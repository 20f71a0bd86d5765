"""What separates the cells of a .csv file: where the comma is the decimal sign, spreadsheets write semicolons."""

from __future__ import annotations

import logging
import re
from functools import lru_cache

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
_logger = logging.getLogger("sentilora")


@lru_cache(maxsize=1000)  # what is unusual is said once a file, however often that is opened
def delimiter_of(header: str, file: str) -> str:
    """The most frequent of the usual delimiters outside the quotes of a file's header; a comma if there is none."""
    unquoted = re.sub(r'"[^"]*"', "", header)
    delimiter = max(_DELIMITERS, key=unquoted.count)
    if delimiter != ",":
        _logger.info(f"{file}: its cells are separated by {_DELIMITERS[delimiter]}")
    return delimiter
