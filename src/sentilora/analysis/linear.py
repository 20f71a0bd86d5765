"""A linear model over words and pairs of words: TF-IDF with logistic regression."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from sentilora.errors import DataError, MissingExtraError
from sentilora.progress import Progress
from sentilora.tables import LabelledTexts, clusters_of

FOLDS = 5
NGRAMS = (1, 2)
_FEATURES = 300_000  # the most frequent ones; bounds the memory
_C = 10.0


def require_scikit_learn() -> None:
    """Raise MissingExtraError where scikit-learn is not installed."""
    try:
        import sklearn  # noqa: F401, PLC0415 - optional, and slow to import
    except ModuleNotFoundError:
        raise MissingExtraError("scikit-learn", "report") from None


def tfidf() -> Any:
    """A vectorizer that weighs words and pairs of words, to be fitted."""
    from sklearn.feature_extraction.text import TfidfVectorizer  # noqa: PLC0415

    return TfidfVectorizer(ngram_range=NGRAMS, sublinear_tf=True, max_features=_FEATURES, dtype=np.float32)


def logistic_regression(features: Any, labels: npt.NDArray[np.int64], seed: int) -> Any:
    """A model trained on features [n, terms] of texts with labels 0 or 1, [n]."""
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415

    model = LogisticRegression(C=_C, solver="liblinear", dual=True, max_iter=1000, random_state=seed)
    return model.fit(features, labels)


def folds_of(data: LabelledTexts, seed: int, joined: Iterable[tuple[int, int]] = ()) -> npt.NDArray[np.int64]:
    """Which of the folds each text is in, int64 [n]; equal texts, and rows of one group, are in one fold.

    Args:
        data: n texts.
        seed: Of the folds.
        joined: Pairs of rows that are to be in one fold, too.

    Raises:
        DataError: So few texts of a label, those that go together taken as one, that a fold would be the only one to
            have it.
    """
    counts = np.zeros((FOLDS, 2), dtype=np.int64)
    folds = np.zeros(len(data), dtype=np.int64)
    clusters = clusters_of(data, joined)
    for cluster in np.random.default_rng(seed).permutation(len(clusters)):
        rows = clusters[cluster]
        labels = np.bincount(data.labels[rows], minlength=2)
        fold = int(counts[:, labels.argmax()].argmin())
        folds[rows] = fold
        counts[fold] += labels
    if (counts.sum(axis=0) == counts).any():
        apart = "" if len(clusters) == len(data) else f", of which {len(clusters):,} stand by themselves,"
        raise DataError(f"{data.source}: {len(data):,} texts{apart} are too few of a label to cross-validate")
    return folds


def held_out_probabilities(
    texts: Sequence[str], labels: npt.NDArray[np.int64], folds: npt.NDArray[np.int64], seed: int, what: str
) -> npt.NDArray[np.float64]:
    """Probabilities of label 1, float64 [n], each from a model trained on the other folds.

    The vocabulary and its weights are taken from all texts once: they know no labels.

    Args:
        texts: n texts.
        labels: 0 or 1 each, [n].
        folds: Numbers from 0, [n].
        seed: Of the optimiser.
        what: What the progress is called.

    Raises:
        MissingExtraError: scikit-learn is not installed.
        DataError: The texts hold no word.
    """
    require_scikit_learn()
    with Progress(what, int(folds.max()) + 2, "steps") as progress:
        try:
            features = tfidf().fit_transform(texts)
        except ValueError:
            raise DataError("the texts hold no words to learn from") from None
        progress.advance()
        probabilities = np.zeros(len(texts))
        for fold in range(int(folds.max()) + 1):
            held_out = folds == fold
            model = logistic_regression(features[~held_out], labels[~held_out], seed)
            probabilities[held_out] = model.predict_proba(features[held_out])[:, 1]
            progress.advance()
    return probabilities
