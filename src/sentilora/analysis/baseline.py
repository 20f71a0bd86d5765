"""What words alone achieve: linear models of n-grams, trained on the same texts, to see whether the encoder pays."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from sentilora.analysis.linear import NGRAMS, logistic_regression, require_scikit_learn, tfidf
from sentilora.analysis.metrics import Answers, Floats
from sentilora.errors import DataError
from sentilora.progress import Progress
from sentilora.tables import LabelledTexts

_NB_SHARE = 0.25  # Wang and Manning (2012): how much of the weights is kept, the rest their mean magnitude


def unmeasured(training: LabelledTexts, measured: LabelledTexts) -> LabelledTexts:
    """The training texts that are not measured too.

    Raises:
        DataError: None is left, or only one label.
    """
    known = set(measured.texts)
    if known.issuperset(training.texts):
        raise DataError(f"{training.source}: all of its texts are measured too: train the baseline on others")
    return training.only([row for row, text in enumerate(training.texts) if text not in known], "measured too")


def baselines(training: LabelledTexts, measured: LabelledTexts) -> dict[str, Answers]:
    """Answers, by name, of baselines that learn from one set of texts and are asked another.

    Raises:
        DataError: No two of the training texts share a word.
        MissingExtraError: scikit-learn is not installed.
    """
    require_scikit_learn()
    kinds = {"TF-IDF + logistic regression": _tfidf, "NB-SVM": _nb_svm}
    answers = {}
    with Progress("training the baselines", len(kinds), "models") as progress:
        for name, p_positive in kinds.items():
            try:
                answers[name] = Answers(measured.labels, p_positive(training, measured.texts))
            except ValueError as error:  # after pruning, no terms remain
                raise DataError(f"{training.source} is too little for a baseline: {error}") from None
            progress.advance()
    return answers


def _tfidf(training: LabelledTexts, texts: list[str]) -> Floats:
    """p_positive, float64 [n], by logistic regression on TF-IDF."""
    vectorizer = tfidf()
    model = logistic_regression(vectorizer.fit_transform(training.texts), training.labels, seed=0)
    return np.asarray(model.predict_proba(vectorizer.transform(texts))[:, 1])


def _nb_svm(training: LabelledTexts, texts: list[str]) -> Floats:
    """p_positive, float64 [n], of a linear SVM on naive Bayes' log-count ratios: a logistic curve of its margin."""
    from sklearn.feature_extraction.text import CountVectorizer  # noqa: PLC0415
    from sklearn.svm import LinearSVC  # noqa: PLC0415

    vectorizer = CountVectorizer(binary=True, dtype=np.float64, ngram_range=NGRAMS, min_df=2)
    terms = vectorizer.fit_transform(training.texts)
    ratios = _log_count_ratios(terms, training.labels)
    svm = LinearSVC(C=1.0, dual=True, random_state=0).fit(terms.multiply(ratios).tocsr(), training.labels)
    learnt = svm.coef_[0]
    weights = _NB_SHARE * learnt + (1 - _NB_SHARE) * np.abs(learnt).mean()
    margin = vectorizer.transform(texts) @ (ratios * weights) + svm.intercept_[0]
    return np.asarray(np.exp(-np.logaddexp(0.0, -margin)))


def _log_count_ratios(terms: Any, labels: npt.NDArray[np.int64]) -> Floats:
    """How much likelier each term, a column of 0/1 `terms` [n, terms], is in a positive text: logs, float64 [terms]."""
    positive, negative = (np.asarray(terms[labels == label].sum(axis=0)).ravel() + 1 for label in (1, 0))
    return np.asarray(np.log(positive / positive.sum()) - np.log(negative / negative.sum()))
