"""Cleaning, tokenising, truncating: the one path from a text to its token ids."""

from sentilora.text.cleaning import LINE_BREAK, with_cleaning
from sentilora.text.encoder import EncodedText, EncodingSummary, TextEncoder, holds_half_a_character, read_tokenizer

__all__ = [
    "LINE_BREAK",
    "EncodedText",
    "EncodingSummary",
    "TextEncoder",
    "holds_half_a_character",
    "read_tokenizer",
    "with_cleaning",
]
