"""sentilora: adapt a small pretrained encoder to your own text with LoRA, and run it anywhere.

import sentilora
run = sentilora.train(data="reviews.csv", base="embedded", output="runs/mine")
classifier = sentilora.Classifier.load("runs/mine")
classifier("A gorgeous, moving film.").label
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sentilora._version import __version__

if TYPE_CHECKING:
    from sentilora.analysis import Evaluation, evaluate
    from sentilora.analysis.audit import audit
    from sentilora.inference import Classifier, Explanation, Prediction, explain
    from sentilora.labels import LabelMap
    from sentilora.modeling.merging import merge
    from sentilora.scoring import score
    from sentilora.tables import Columns, read_labelled, read_unlabelled
    from sentilora.training import Run, pretrain, train

__all__ = [
    "Classifier",
    "Columns",
    "Evaluation",
    "Explanation",
    "LabelMap",
    "Prediction",
    "Run",
    "__version__",
    "audit",
    "evaluate",
    "explain",
    "merge",
    "pretrain",
    "read_labelled",
    "read_unlabelled",
    "score",
    "train",
]

_HOMES = {
    "Classifier": "sentilora.inference",
    "Columns": "sentilora.tables",
    "Evaluation": "sentilora.analysis",
    "Explanation": "sentilora.inference",
    "LabelMap": "sentilora.labels",
    "Prediction": "sentilora.inference",
    "Run": "sentilora.training",
    "audit": "sentilora.analysis.audit",
    "evaluate": "sentilora.analysis",
    "explain": "sentilora.inference",
    "merge": "sentilora.modeling.merging",
    "pretrain": "sentilora.training",
    "read_labelled": "sentilora.tables",
    "read_unlabelled": "sentilora.tables",
    "score": "sentilora.scoring",
    "train": "sentilora.training",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that the torch-free part never imports torch."""
    if name not in _HOMES:
        raise AttributeError(f"module 'sentilora' has no attribute '{name}'")
    from importlib import import_module  # noqa: PLC0415

    from sentilora.errors import MissingExtraError  # noqa: PLC0415

    try:
        return getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from None
