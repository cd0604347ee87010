"""What a normalization costs in a model: parameters, FLOPs, memory and latency."""

from lng_keras.adopt.cost.comparison import AS_IS, compare, measure
from lng_keras.adopt.cost.examples import example_of
from lng_keras.adopt.cost.table import CostTable
from lng_keras.adopt.cost.weights import quantized

__all__ = ["AS_IS", "CostTable", "compare", "example_of", "measure", "quantized"]
