"""Texts that are nearly the same: MinHash (Broder, 1997) finds pairs worth a look, a full comparison decides."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Optional

import numpy as np
import numpy.typing as npt

from sentilora.analysis.words import folded_words
from sentilora.progress import Progress

THRESHOLD = 0.7

# A band of 4 equal minima out of 20: finds 99.6 % of the pairs at a similarity of 0.7, all but one in 38,000 at 0.8.
_BANDS, _ROWS = 20, 4
_COMPARED = 10  # of the texts that share a band, so many are compared with each: many equal texts must not cost n^2
_CHUNK = 1000  # texts hashed at a time: bounds the memory
_SHINGLE = 3  # words

_Integers = npt.NDArray[np.int64]
_Hashes = npt.NDArray[np.uint64]


@dataclass(frozen=True)
class Duplicate:
    """A text and the one it repeats.

    Attributes:
        row: Index of the text.
        other: Index of the most similar text, earlier in the same data or anywhere in other data.
        similarity: Shared runs of three words among all of both texts (Jaccard), in [0, 1].
    """

    row: int
    other: int
    similarity: float


def near_duplicates(
    texts: Sequence[str], against: Optional[Sequence[str]] = None, threshold: float = THRESHOLD
) -> list[Duplicate]:
    """Every text that nearly repeats an earlier one; or, `against` other texts, one of those. In order of the rows.

    Args:
        texts: n texts.
        against: Others; None compares the texts with one another.
        threshold: Least similarity, in (0, 1]; below 0.6 more than one pair in 16 goes unseen.
    """
    vocabulary: dict[str, int] = {}
    shingles, minima = _hashed(texts, vocabulary, "comparing texts")
    pool, pool_minima = (
        (shingles, minima) if against is None else _hashed(against, vocabulary, "reading the other texts")
    )
    best: dict[int, Duplicate] = {}
    pairs = _pairs(minima, pool_minima, earlier_only=against is None)
    # Equal minima estimate the similarity to about 0.05: what is far below needs no full comparison.
    likeness = np.array([(minima[row] == pool_minima[other]).mean() for row, other in pairs])
    for row, other in pairs[likeness >= threshold - 0.2] if len(pairs) else pairs:
        similarity = _jaccard(shingles[row], pool[other])
        if similarity >= threshold and (row not in best or similarity > best[row].similarity):
            best[int(row)] = Duplicate(int(row), int(other), similarity)
    return [best[row] for row in sorted(best)]


def _hashed(texts: Sequence[str], vocabulary: dict[str, int], what: str) -> tuple[list[_Hashes], _Hashes]:
    """The hashed shingles of each text, sorted and without repetitions, and their minima [n, bands * rows]."""
    shingles: list[_Hashes] = []
    minima = np.zeros((len(texts), _BANDS * _ROWS), dtype=np.uint64)
    factors, offsets = np.random.default_rng(0).integers(1, 2**63, (2, _BANDS * _ROWS), dtype=np.uint64)
    with Progress(what, len(texts)) as progress:
        for start in range(0, len(texts), _CHUNK):
            chunk = [_shingles(text, vocabulary) for text in texts[start : start + _CHUNK]]
            shingles += chunk
            every = np.concatenate(chunk)
            begins = np.cumsum([0, *map(len, chunk[:-1])])
            for column, (factor, offset) in enumerate(zip(factors | np.uint64(1), offsets)):
                minima[start : start + len(chunk), column] = np.minimum.reduceat(
                    _mixed(every * factor + offset), begins
                )
            progress.advance(len(chunk))
    return shingles, minima


def _shingles(text: str, vocabulary: dict[str, int]) -> _Hashes:
    words = folded_words(text)
    ids = np.array([vocabulary.setdefault(word, len(vocabulary)) for word in words], dtype=np.uint64)
    size = min(_SHINGLE, len(ids))
    hashes = np.full(len(ids) - size + 1, size, dtype=np.uint64)
    for place in range(size):
        hashes = _mixed(hashes * np.uint64(0x9E3779B97F4A7C15) + ids[place : len(ids) - size + 1 + place])
    return np.unique(hashes)


def _mixed(hashes: _Hashes) -> _Hashes:
    """Every bit of the result depends on every bit given (the finaliser of MurmurHash3)."""
    hashes = (hashes ^ (hashes >> np.uint64(33))) * np.uint64(0xFF51AFD7ED558CCD)
    return hashes ^ (hashes >> np.uint64(33))


def _pairs(minima: _Hashes, pool: _Hashes, earlier_only: bool) -> _Integers:
    """Pairs of a text and one of the pool that share a band, without repetitions, int64 [pairs, 2]."""
    found = np.unique(
        np.concatenate([*chain.from_iterable(_of_band(minima, pool, band) for band in range(_BANDS)), np.zeros(0, int)])
    )
    pairs = np.stack(np.divmod(found, max(len(pool), 1)), axis=1)
    return pairs[pairs[:, 1] < pairs[:, 0]] if earlier_only else pairs


def _of_band(minima: _Hashes, pool: _Hashes, band: int) -> Iterator[_Integers]:
    """Pairs, each as one number, row * size of the pool + other."""
    keys, pool_keys = _keys(minima, band), _keys(pool, band)
    order = np.argsort(pool_keys, kind="stable")
    first = np.searchsorted(pool_keys[order], keys, "left")
    last = np.searchsorted(pool_keys[order], keys, "right")
    for step in range(_COMPARED):
        rows = np.flatnonzero(first + step < last)
        yield rows * len(pool) + order[first[rows] + step]


def _keys(minima: _Hashes, band: int) -> _Hashes:
    keys = np.zeros(len(minima), dtype=np.uint64)
    for column in range(band * _ROWS, (band + 1) * _ROWS):
        keys = _mixed(keys * np.uint64(0x9E3779B97F4A7C15) + minima[:, column])
    return keys


def _jaccard(one: _Hashes, other: _Hashes) -> float:
    shared = len(np.intersect1d(one, other, assume_unique=True))
    return shared / (len(one) + len(other) - shared)
