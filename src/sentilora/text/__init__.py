"""Cleaning, tokenising, truncating: the one path from a text to its token ids."""

from sentilora.text.cleaning import with_cleaning
from sentilora.text.encoder import EncodedText, EncodingSummary, TextEncoder, read_tokenizer

__all__ = ["EncodedText", "EncodingSummary", "TextEncoder", "read_tokenizer", "with_cleaning"]
