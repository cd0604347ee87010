"""The arithmetic of grouped normalization: one reference and faster forms of it."""

from lng_keras.kernels.choice import normalize, use

__all__ = ["normalize", "use"]
