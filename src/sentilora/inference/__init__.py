"""Answering: the one interface to a model, the classifier over it, and why it answers as it does."""

from sentilora.inference.classifier import Classifier, Prediction
from sentilora.inference.explanation import Explanation
from sentilora.inference.occlusion import explain
from sentilora.inference.predictor import Predictor

__all__ = ["Classifier", "Explanation", "Prediction", "Predictor", "explain"]
