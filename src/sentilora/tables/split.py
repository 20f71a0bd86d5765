"""Splitting labelled texts so that what is measured was not seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Optional

import numpy as np
import numpy.typing as npt

from sentilora.errors import DataError
from sentilora.tables.labelled import LabelledTexts, NoGroup

_Rows = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Texts to train on and texts to validate on.

    Attributes:
        train: The former.
        validation: The latter.
        how: How they were parted, of how many, and what was dropped of the source that both come from, in one line.
    """

    train: LabelledTexts
    validation: LabelledTexts
    how: str


def split_labelled(data: LabelledTexts, fraction: float, seed: int) -> Split:
    """Set aside about `fraction` of the rows for validation.

    Texts that are equal but for blanks, and rows of one group, stay on one side: such rows form a cluster, and clusters
    are dealt in seeded random order, each to validation while that brings the count of its labels closer to the share
    wanted.

    Raises:
        DataError: One side would be left without a label.
    """
    clusters = clusters_of(data)
    rng = np.random.default_rng(seed)
    totals = np.bincount(data.labels, minlength=2)
    wanted = totals * fraction
    chosen = np.zeros(2)
    validation = np.zeros(len(data), dtype=bool)
    for cluster in rng.permutation(len(clusters)):
        rows = clusters[cluster]
        counts = np.bincount(data.labels[rows], minlength=2)
        if np.abs(chosen + counts - wanted).sum() < np.abs(chosen - wanted).sum():
            chosen += counts
            validation[rows] = True
    if chosen.min() < 1 or (totals - chosen).min() < 1:
        raise DataError(
            f"{data.source}: {len(data):,} texts, of which {len(clusters):,} stand by themselves, are too few to set "
            f"aside {fraction:.0%} with both labels on both sides: name validation data with --validation"
        )
    repeated = len(data) - len(set(map(as_compared, data.texts)))
    how = (
        f"{validation.mean():.1%} of {len(data):,} texts set aside for validation (seed {seed})"
        + ("" if data.groups is None else _grouped(data.groups))
        + ("" if not repeated else f", {repeated:,} repeated texts on the side of their first")
        + data.describe_dropped()
    )
    return Split(data.take(np.flatnonzero(~validation)), data.take(np.flatnonzero(validation)), how)


def as_compared(text: str) -> str:
    """The text with single blanks between its words.

    Programs end lines and texts in different ways, and a file of lines has blanks where a table has line breaks.
    """
    return " ".join(text.split())


def _grouped(groups: list[str]) -> str:
    alone = sum(isinstance(group, NoGroup) for group in groups)
    without = f" ({alone:,} rows have no group)" if alone else ""
    return f", the rows of each of {len(set(groups)) - alone:,} groups on one side{without}"


def subset(data: LabelledTexts, limit: Optional[int], seed: int) -> LabelledTexts:
    """A seeded random subset of `limit` rows with the labels' shares, in random order; all rows if they are no more.

    The others count as dropped.

    Raises:
        DataError: So few rows that a label would be left out.
    """
    if limit is None or limit >= len(data):
        return data
    rng = np.random.default_rng(seed)
    positive = round(limit * float(data.labels.mean()))
    if not 0 < positive < limit:
        raise DataError(f"{data.source}: {limit} of {len(data):,} texts would hold one label only: raise the limit")
    rows = np.concatenate(
        [
            rng.choice(np.flatnonzero(data.labels == label), count, replace=False)
            for label, count in ((0, limit - positive), (1, positive))
        ]
    )
    dropped = {**data.dropped, f"beyond the limit of {limit:,}": len(data) - limit}
    return replace(data.take(rng.permutation(rows)), dropped=dropped)


def clusters_of(data: LabelledTexts, joined: Iterable[tuple[int, int]] = ()) -> list[_Rows]:
    """Rows joined by a text that is equal but for blanks, an equal group, or as a pair of `joined`.

    A disjoint-set forest finds them.
    """
    parent = list(range(len(data)))

    def root(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    first_with: dict[tuple[str, str], int] = {}
    for row, text in enumerate(data.texts):
        keys = [("text", as_compared(text))]
        if data.groups is not None:
            keys.append(("group", data.groups[row]))
        for key in keys:
            parent[root(row)] = root(first_with.setdefault(key, row))
    for row, other in joined:
        parent[root(row)] = root(other)
    roots = np.array([root(row) for row in range(len(data))])
    order = np.argsort(roots, kind="stable")
    boundaries = np.flatnonzero(np.diff(roots[order])) + 1
    return [rows.astype(np.int64) for rows in np.split(order, boundaries)]
