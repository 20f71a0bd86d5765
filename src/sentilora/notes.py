"""What was assumed or fell back: said once in the output, and kept in the record."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator

_logger = logging.getLogger("sentilora")


class Notes:
    """An ordered set of remarks about one piece of work.

    Nothing here falls back in silence: whoever chooses a device, a precision or a default for the user says so
    through `say`, which logs the remark to the `sentilora` logger once and keeps it for the run's record.
    """

    def __init__(self) -> None:
        self._messages: dict[str, None] = {}

    def say(self, message: str) -> None:
        """Log `message` unless it was said before, and keep it."""
        if message not in self._messages:
            self._messages[message] = None
            _logger.info(message)

    def __iter__(self) -> Iterator[str]:
        """The remarks in the order they were made."""
        return iter(self._messages)


class _Speaker(logging.Handler):
    """Writes to standard error what the program's own logging, if it has any, does not."""

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            sys.stderr.write(f"{record.getMessage()}\n")


def speak() -> None:
    """Have what is said heard in a notebook or a script that did not set up logging."""
    if not _logger.handlers and _logger.level == logging.NOTSET:
        _logger.addHandler(_Speaker())
        _logger.setLevel(logging.INFO)
