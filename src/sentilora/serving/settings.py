"""What a server is told before it starts."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Optional

from sentilora.errors import UserError

_KEY = re.compile(r"[!-~]+")  # what an HTTP header carries unchanged


@dataclass(frozen=True)
class ServingSettings:
    """Limits, keys and places of a server.

    Attributes:
        api_keys: Any one of them opens the API; without any it is open to everyone who reaches it.
        admin_keys: Any one of them may also load and unload adapters; without any nobody may.
        adapter_folder: Where adapters that are loaded at run time lie; nothing outside it is ever read.
        max_body: Most bytes of a request.
        max_texts: Most texts of a request.
        max_characters: Most characters of a text.
        queue_tokens: Most tokens waiting at once; beyond it requests are refused.
        deadline: Seconds that a request may take, from its first byte.
        drain_delay: Seconds between SIGTERM, when `/ready` turns to 503, and refusing new connections.
        log_texts: Whether the log holds the texts and their labels.
        cors_origins: Web pages elsewhere that may call the API from a browser.
    """

    api_keys: tuple[str, ...] = ()
    admin_keys: tuple[str, ...] = ()
    adapter_folder: Optional[Path] = None
    max_body: int = 2_000_000
    max_texts: int = 256
    max_characters: int = 100_000
    queue_tokens: int = 65_536
    deadline: float = 30.0
    drain_delay: float = 1.0
    log_texts: bool = False
    cors_origins: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuse keys that no client could show, and seconds without an end."""
        if not all(_KEY.fullmatch(key) for key in (*self.api_keys, *self.admin_keys)):
            raise UserError("a key has ASCII letters, digits and signs only, and no space: make another")
        for name, seconds in (("deadline", self.deadline), ("drain-delay", self.drain_delay)):
            if not math.isfinite(seconds):
                raise UserError(f"--{name} {seconds}: it is a number of seconds")
