"""Answering: the one interface to a model, and the classifier over it."""

from sentilora.inference.classifier import Classifier, Prediction
from sentilora.inference.predictor import Predictor

__all__ = ["Classifier", "Prediction", "Predictor"]
