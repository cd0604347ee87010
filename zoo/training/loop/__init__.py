"""Trains epoch by epoch: the loop, what watches a batch, the state that is kept."""

from zoo.training.loop.epochs import Stopped, train

__all__ = ["Stopped", "train"]
