"""The experiments of the paper's theory part, each with its numbers and a picture."""

from experiments.theory.parts import EXPERIMENTS, OUTPUT, run

__all__ = ["EXPERIMENTS", "OUTPUT", "run"]
