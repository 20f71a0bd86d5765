"""Errors whose one-line message reaches the user: what is wrong, where, and what to do."""

from __future__ import annotations


class SentiloraError(Exception):
    """Base of every error raised on purpose. A failure of ours: exit code 1."""

    exit_code = 1


class ParityError(SentiloraError):
    """What was written does not answer as what is in memory."""


class UserError(SentiloraError):
    """Something the user can put right: exit code 2."""

    exit_code = 2


class ConfigError(UserError):
    """A setting is unknown, of the wrong type, or out of range."""


class DataError(UserError):
    """A data source is missing, unreadable, or does not hold what is needed."""


class ModelError(UserError):
    """A base, adapter, or model folder is missing, damaged, unsafe, or does not fit."""


class HubError(UserError):
    """The Hub cannot be reached, or does not hold what was asked for."""


class OutputError(UserError):
    """An output exists already or cannot be written."""


class MissingExtraError(UserError):
    """A part of sentilora is needed that was not installed."""

    def __init__(self, package: str, extra: str) -> None:
        super().__init__(f"{package} is not installed: run pip install 'sentilora[{extra}]'")


def first_line(error: BaseException) -> str:
    """The first line of what a library says; the kind of the error where it says nothing."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def in_one_line(error: Exception) -> str:
    """What a library says, which may be long and of several lines, as the part of a message: 300 characters at most."""
    return " ".join(str(error).split())[:300]
