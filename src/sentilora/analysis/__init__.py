"""Measuring and understanding: everything that needs labels and probabilities but no model of its own."""

from sentilora.analysis.evaluation import Evaluation, evaluate
from sentilora.analysis.metrics import ClassificationMetrics

__all__ = ["ClassificationMetrics", "Evaluation", "evaluate"]
