"""sentilora: adapt a small pretrained encoder to your own text with LoRA, and run it anywhere.

import sentilora
run = sentilora.train(data="reviews.csv", base="embedded", output="runs/mine")
classifier = sentilora.Classifier.load("runs/mine")
classifier("A gorgeous, moving film.").label
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

from sentilora._version import __version__
from sentilora.notes import speak

if TYPE_CHECKING:
    from sentilora.analysis import Evaluation, evaluate
    from sentilora.analysis.audit import audit
    from sentilora.analysis.insights import Insights, insights
    from sentilora.analysis.suggestions import Suggestions, suggest
    from sentilora.inference import Classifier, Explanation, Prediction, explain
    from sentilora.labels import LabelMap
    from sentilora.modeling.merging import merge
    from sentilora.reporting.publishing import Published, publish
    from sentilora.scoring.score import score
    from sentilora.tables import Columns, read_labelled, read_unlabelled
    from sentilora.training import Run, pretrain, train

# Read when ONNX Runtime is imported: it would tell its makers of this machine and of the models that it runs.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__all__ = [
    "Classifier",
    "Columns",
    "Evaluation",
    "Explanation",
    "Insights",
    "LabelMap",
    "Prediction",
    "Published",
    "Run",
    "Suggestions",
    "__version__",
    "audit",
    "evaluate",
    "explain",
    "insights",
    "merge",
    "pretrain",
    "publish",
    "read_labelled",
    "read_unlabelled",
    "score",
    "suggest",
    "train",
]

_HOMES = {
    "Classifier": "sentilora.inference",
    "Columns": "sentilora.tables",
    "Evaluation": "sentilora.analysis",
    "Explanation": "sentilora.inference",
    "Insights": "sentilora.analysis.insights",
    "LabelMap": "sentilora.labels",
    "Prediction": "sentilora.inference",
    "Published": "sentilora.reporting.publishing",
    "Run": "sentilora.training",
    "Suggestions": "sentilora.analysis.suggestions",
    "audit": "sentilora.analysis.audit",
    "evaluate": "sentilora.analysis",
    "explain": "sentilora.inference",
    "insights": "sentilora.analysis.insights",
    "merge": "sentilora.modeling.merging",
    "pretrain": "sentilora.training",
    "publish": "sentilora.reporting.publishing",
    "read_labelled": "sentilora.tables",
    "read_unlabelled": "sentilora.tables",
    "score": "sentilora.scoring",
    "suggest": "sentilora.analysis.suggestions",
    "train": "sentilora.training",
}


_ROOMS = ("config", "errors", "export", "tables", "training")

speak()


def __dir__() -> list[str]:
    """What is public, which is not imported yet."""
    return sorted({*__all__, *_ROOMS})


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that the torch-free part never imports torch."""
    if name not in (*_HOMES, *_ROOMS):
        raise AttributeError(f"module 'sentilora' has no attribute '{name}'")
    from importlib import import_module  # noqa: PLC0415

    from sentilora.errors import MissingExtraError  # noqa: PLC0415

    try:
        return import_module(f"sentilora.{name}") if name in _ROOMS else getattr(import_module(_HOMES[name]), name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(str(error.name), "train") from None
