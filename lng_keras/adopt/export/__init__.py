"""Exports a model for production, and checks that the file computes the same."""

from lng_keras.adopt.export.api import export
from lng_keras.adopt.export.formats import FORMATS, check

__all__ = ["FORMATS", "check", "export"]
