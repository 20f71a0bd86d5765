"""What the first bytes of a file of text say of their encoding."""

from __future__ import annotations

UTF8_MARK = b"\xef\xbb\xbf"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")


def refuse_utf16(start: bytes) -> None:
    """Make sure that what begins so is not UTF-16, as which spreadsheets save "Unicode text".

    Raises:
        ValueError: It is.
    """
    if start.startswith(_UTF16_MARKS):
        raise ValueError("it is UTF-16: save it as UTF-8")
