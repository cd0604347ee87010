"""Replaces the normalizations of an existing model, weights carried over."""

from lng_keras.swap.api import find as find_normalizations
from lng_keras.swap.api import swap_normalization
from lng_keras.swap.report import SwapReport

__all__ = ["SwapReport", "find_normalizations", "swap_normalization"]
