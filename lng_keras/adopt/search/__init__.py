"""Searches for the group size: Hyperband of KerasTuner, then a fair comparison."""

from lng_keras.adopt.search.api import search_group_size
from lng_keras.adopt.search.candidates import stage_of
from lng_keras.adopt.search.result import SearchResult, pareto_front

__all__ = ["SearchResult", "pareto_front", "search_group_size", "stage_of"]
