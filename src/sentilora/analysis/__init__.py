"""Measuring and understanding: everything that needs labels and probabilities but no model of its own."""

from sentilora.analysis.comparison import Comparison
from sentilora.analysis.evaluation import Evaluation, evaluate
from sentilora.analysis.metrics import Answers, ClassificationMetrics

__all__ = ["Answers", "ClassificationMetrics", "Comparison", "Evaluation", "evaluate"]
