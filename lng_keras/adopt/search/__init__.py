"""Searches what to replace: Hyperband of KerasTuner, then a fair comparison."""

from lng_keras.adopt.search.api import search_group_size
from lng_keras.adopt.search.candidates import stage_of
from lng_keras.adopt.search.normalization import search_normalization
from lng_keras.adopt.search.result import SearchResult, pareto_front

__all__ = [
    "SearchResult",
    "pareto_front",
    "search_group_size",
    "search_normalization",
    "stage_of",
]
