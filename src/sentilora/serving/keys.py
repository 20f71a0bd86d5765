"""Keys that clients show as `Authorization: Bearer KEY`."""

from __future__ import annotations

import hmac
from collections.abc import Sequence


def bearer(authorization: str) -> str:
    """The key in an `Authorization` header; empty where there is none."""
    scheme, _, key = authorization.partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def is_known(key: str, known: Sequence[str]) -> bool:
    """Whether `key` is one of `known`, in a time that tells nothing of them."""
    matches = [hmac.compare_digest(key.encode(), other.encode()) for other in known]
    return key != "" and any(matches)
