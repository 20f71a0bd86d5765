"""Which texts to label next.

Zhdanov, "Diverse mini-batch Active Learning" (2019): of the texts that a model is least sure of, those nearest to the
centres of as many clusters as texts are wanted, clustered with their uncertainty as weight. Without a model all texts
count alike, and any one of each cluster is chosen: the nearest ones to the centres taught less than random ones in
`benchmarks/suggesting.py`. Clusters are found in latent semantic space (TF-IDF and a truncated singular value
decomposition; Deerwester et al., 1990).
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Optional, Union

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sentilora.analysis.duplicates import near_duplicates
from sentilora.analysis.linear import require_scikit_learn
from sentilora.analysis.words import folded_words
from sentilora.artifacts import write_file
from sentilora.errors import ConfigError, DataError, OutputError
from sentilora.inference import Classifier
from sentilora.notes import Notes
from sentilora.progress import Progress
from sentilora.tables import Source, UnlabelledTexts, read_unlabelled, unlabelled_of
from sentilora.tables.inputs import TableName
from sentilora.tables.writing import compressing, require_writable, table_format

POOL = 20_000
_CANDIDATES = 4  # times as many as are wanted: the least sure, among which the choice is for variety
_DIMENSIONS = 100  # of the latent space
_FEATURES = 50_000

_Floats = npt.NDArray[np.float64]
_Integers = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Suggestion:
    """A text to label.

    Attributes:
        row: Where it stands in its source, from 1.
        text: The text.
        confidence: The model's, in [0, 1]; None without a model.
    """

    row: int
    text: str
    confidence: Optional[float]


@dataclass(frozen=True)
class Suggestions:
    """Texts to label, those that stand for most others first.

    Attributes:
        source: Where they are from.
        texts: How many there are in it.
        chosen: The texts.
        notes: How they were chosen, and among which.
    """

    source: str
    texts: int
    chosen: list[Suggestion]
    notes: tuple[str, ...]

    def write(self, path: Path, overwrite: bool = False) -> None:
        """Write columns `row`, `text` and an empty `label`. The model's answers are left out: they would sway people.

        Raises:
            DataError: The name does not end as files of rows do.
            OutputError: See `refuse_output`, or the file cannot be written.
        """
        name = refuse_output(path, overwrite)
        table = pa.table(
            {
                "row": pa.array([each.row for each in self.chosen], pa.int64()),
                "text": pa.array([each.text for each in self.chosen], pa.string()),
                "label": pa.array([""] * len(self.chosen), pa.string()),
            }
        )
        rows = table_format(name, table.schema)
        content = _Buffer()
        with compressing(name, content) as sink:
            rows.join([rows.encode(table)], sink)
        write_file(path, content.written)


def refuse_output(path: Path, overwrite: bool) -> TableName:
    """Make sure that suggestions may be written to `path`.

    Raises:
        DataError: The name does not end as files of rows do.
        OutputError: We do not write its format, or something is there, which may hold labels, and `overwrite` is false.
    """
    name = TableName.parse(str(path))
    require_writable(name)
    if path.exists() and not overwrite:
        raise OutputError(f"{path} exists already, and may hold labels: choose another name, or pass --overwrite")
    return name


def suggest(
    data: Union[UnlabelledTexts, Source],
    n: int,
    *,
    classifier: Optional[Classifier] = None,
    labelled: Union[UnlabelledTexts, Source, None] = None,
    pool: int = POOL,
    seed: int = 0,
) -> Suggestions:
    """Choose texts whose labels would teach a model most.

    Args:
        data: To choose from; or what `read_unlabelled` takes, such as a file or a data frame.
        n: How many texts.
        classifier: Trained on what is labelled so far; None where nothing is.
        labelled: Texts that are labelled already: neither they nor what nearly repeats them is chosen.
        pool: Look at no more texts than this, drawn at random: a model needs its time for each.
        seed: Of that draw and of the clusters.

    Returns:
        At most n texts, no two of them near-duplicates.

    Raises:
        ConfigError: n or the pool is not positive.
        DataError: All texts are labelled already.
        MissingExtraError: scikit-learn is not installed.
    """
    if n < 1 or pool < 1:
        raise ConfigError(f"{n} texts of a pool of {pool}: both must be at least 1")
    require_scikit_learn()
    data = data if isinstance(data, UnlabelledTexts) else read_unlabelled(data)
    notes = Notes()
    rows = _new_rows(data, unlabelled_of(labelled), max(pool, n), seed, notes)
    texts = [data.texts[row] for row in rows]
    confidences = None if classifier is None else _confidences(classifier, texts)
    if confidences is None:
        weights = np.ones(len(texts))
        candidates = np.arange(len(texts))
        notes.say("chosen without a model: texts of every kind, at random")
    else:
        weights = 1 - confidences
        candidates = np.argsort(-weights, kind="stable")[: _CANDIDATES * n]
        notes.say(f"chosen from the {len(candidates):,} texts that the model is least sure of, for variety")
    kinds, distances = _kinds([texts[place] for place in candidates], weights[candidates], n, seed)
    order = np.random.default_rng(seed).random(len(kinds)) if confidences is None else distances
    places = candidates[_first_of_each(kinds, order, weights[candidates])]
    return Suggestions(
        source=data.source,
        texts=len(data.texts),
        chosen=[
            Suggestion(
                row=int(data.rows[rows[place]]) + 1,
                text=texts[place],
                confidence=None if confidences is None else float(confidences[place]),
            )
            for place in places
        ],
        notes=tuple(notes),
    )


def _new_rows(
    data: UnlabelledTexts, labelled: Optional[UnlabelledTexts], pool: int, seed: int, notes: Notes
) -> _Integers:
    """Indices of texts that nearly repeat neither one another nor a labelled one, in order."""
    rows = np.arange(len(data.texts))
    if len(rows) > pool:
        rows = np.sort(np.random.default_rng(seed).permutation(rows)[:pool])
        notes.say(f"looked at {pool:,} of {len(data.texts):,} texts, drawn at random")
    if labelled is not None:
        rows = _without(rows, data.texts, labelled.texts, f"nearly repeat those of {labelled.source}", notes)
        if not len(rows):
            raise DataError(f"all texts of {data.source} are in {labelled.source} already: name other texts")
    return _without(rows, data.texts, None, "nearly repeat another", notes)


def _without(
    rows: _Integers, texts: Sequence[str], against: Optional[Sequence[str]], reason: str, notes: Notes
) -> _Integers:
    repeated = [each.row for each in near_duplicates([texts[row] for row in rows], against)]
    if repeated:
        notes.say(f"left out {len(repeated):,} texts that {reason}")
    return np.delete(rows, repeated)


def _confidences(classifier: Classifier, texts: Sequence[str]) -> _Floats:
    with Progress("asking the model", len(texts)) as progress:
        return np.array([answer.confidence for answer in classifier.predict(texts, progress.advance)])


def _kinds(texts: Sequence[str], weights: _Floats, n: int, seed: int) -> tuple[_Integers, _Floats]:
    """For each text its cluster, one of n at most, and its distance from the centre."""
    if len(texts) <= n:
        return np.arange(len(texts)), np.zeros(len(texts))
    from sklearn.cluster import KMeans  # noqa: PLC0415 - optional, and slow to import

    points = _latent(texts, seed)
    clusters = KMeans(n, n_init=1, random_state=seed).fit(points, sample_weight=np.maximum(weights, 1e-9))
    return clusters.labels_, ((points - clusters.cluster_centers_[clusters.labels_]) ** 2).sum(axis=1)


def _first_of_each(kinds: _Integers, order: _Floats, weights: _Floats) -> _Integers:
    """Of each kind the index that comes first in order; those of the heaviest kind first."""
    ordered = np.lexsort((order, kinds))
    found, first = np.unique(kinds[ordered], return_index=True)
    mass = np.bincount(kinds, weights)[found]
    chosen: _Integers = ordered[first][np.argsort(-mass, kind="stable")]
    return chosen


def _latent(texts: Sequence[str], seed: int) -> _Floats:
    """Points of length 1 [n, dimensions]."""
    from sklearn.decomposition import TruncatedSVD  # noqa: PLC0415
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415
    from sklearn.preprocessing import normalize  # noqa: PLC0415

    with Progress("comparing texts", None, "texts"):
        vectorizer = TfidfVectorizer(
            sublinear_tf=True, max_features=_FEATURES, tokenizer=folded_words, token_pattern=None
        )
        try:
            features: Any = vectorizer.fit_transform(texts)
        except ValueError:
            raise DataError("the texts hold no words to tell them apart by") from None
        if min(features.shape) > _DIMENSIONS:
            features = TruncatedSVD(_DIMENSIONS, random_state=seed).fit_transform(features)
        else:
            features = features.toarray()
        points: _Floats = normalize(features)
        return points


class _Buffer(io.BytesIO):
    """Keeps what was written after it is closed."""

    written = b""

    def close(self) -> None:
        self.written = self.getvalue()
        super().close()
