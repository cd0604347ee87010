"""Trains a model as it is and with each candidate, and keeps what is finished."""

from lng_keras.adopt.cost import AS_IS
from lng_keras.adopt.trainings.all import label, run_all
from lng_keras.adopt.trainings.classifier import compiled, correct, evaluator
from lng_keras.adopt.trainings.finished import cached, writable
from lng_keras.adopt.trainings.one import settle
from lng_keras.adopt.trainings.pixels import PIXELS, pixel_range, scaled
from lng_keras.adopt.trainings.progress import Say, to_stderr

__all__ = [
    "AS_IS",
    "PIXELS",
    "Say",
    "cached",
    "compiled",
    "correct",
    "evaluator",
    "label",
    "pixel_range",
    "run_all",
    "scaled",
    "settle",
    "to_stderr",
    "writable",
]
