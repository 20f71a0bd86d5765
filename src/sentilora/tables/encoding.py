"""What the first bytes of a file of text say of its kind and encoding."""

from __future__ import annotations

UTF8_MARK = b"\xef\xbb\xbf"
NOT_UTF8 = "is not UTF-8: save it as UTF-8"
_UTF16_MARKS = (b"\xff\xfe", b"\xfe\xff")
_OTHER_KINDS = {
    b"PK\x03\x04": "it is an Excel workbook or another archive: give it the ending .xlsx",
    b"\x1f\x8b": "it is compressed with gzip: let its name end in .gz",
    b"\x28\xb5\x2f\xfd": "it is compressed with Zstandard: let its name end in .zst",
    b"PAR1": "it is Parquet: give it the ending .parquet",
}


def refuse_other_kinds(start: bytes) -> None:
    """Make sure that what begins so is neither UTF-16, as which spreadsheets save "Unicode text", nor no text at all.

    Raises:
        ValueError: It is, with what to do.
    """
    if start.startswith(_UTF16_MARKS):
        raise ValueError("it is UTF-16: save it as UTF-8")
    for mark, advice in _OTHER_KINDS.items():
        if start.startswith(mark):
            raise ValueError(advice)


def is_utf8_text(text: str) -> bool:
    """Whether no byte of what was decoded with `surrogateescape` was not UTF-8."""
    return text.isascii() or not any("\udc80" <= character <= "\udcff" for character in text)
