"""Grouped normalization on torch, with a backward pass of its own."""

from lng_keras.kernels.torch.operation import normalize

__all__ = ["normalize"]
