"""Exercises and predictions: what learners do, and what it answers."""

from resnote.exercises.prediction import Prediction

__all__ = ["Prediction"]
