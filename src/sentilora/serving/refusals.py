"""Why a request is refused; how that is said is each dialect's own."""

from __future__ import annotations

import enum


class Reason(enum.Enum):
    """Why a request was not answered, and the HTTP status that says so where a dialect has no other."""

    EMPTY = "empty", 400
    KEY = "key", 401
    FORBIDDEN = "forbidden", 403
    UNKNOWN = "unknown", 404
    METHOD = "method", 405
    SLOW = "slow", 408
    TOO_LARGE = "too_large", 413
    TOO_LONG = "too_long", 413
    INVALID = "invalid", 422
    OVERLOADED = "overloaded", 429
    BROKEN = "broken", 500
    DRAINING = "draining", 503
    LATE = "late", 504

    def __init__(self, code: str, status: int) -> None:
        self.code = code
        self.status = status

    @classmethod
    def of_status(cls, status: int) -> Reason:
        """The reason for a status that the framework chose."""
        if status == cls.EMPTY.status:
            return cls.INVALID
        return next((reason for reason in cls if reason.status == status), cls.INVALID if status < 500 else cls.BROKEN)


class Refused(Exception):  # noqa: N818 - a refusal is an answer, and often no error
    """Ends a request. The message reaches the client: no paths, no texts.

    Attributes:
        reason: What decides the status.
        message: For the client.
        headers: That the answer carries.
    """

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message.encode("utf-8", "replace").decode("utf-8")

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with the reason."""
        if self.reason is Reason.OVERLOADED:
            return {"Retry-After": "1"}
        if self.reason is Reason.SLOW:
            return {"Connection": "close"}  # the rest of the request may still come
        return {"WWW-Authenticate": "Bearer"} if self.reason is Reason.KEY else {}
