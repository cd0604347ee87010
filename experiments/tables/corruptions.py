"""Shifts of test images at five severities, as CIFAR-10-C defines them.

Hendrycks & Dietterich, Benchmarking Neural Network Robustness to Common Corruptions
and Perturbations, ICLR 2019, arXiv:1903.12261; the severities are those of the
authors' make_cifar_c.py. Written anew here for whole batches: CIFAR-10-C itself is
2.9 GB, and its random numbers are its own.
"""

import numpy as np
from scipy import ndimage

SEVERITIES = (1, 2, 3, 4, 5)


def gaussian_noise(images, severity, rng):
    """Adds N(0, s) to every pixel of [0, 1]."""
    std = (0.04, 0.06, 0.08, 0.09, 0.10)[severity - 1]
    return images + rng.normal(0, std, images.shape)


def gaussian_blur(images, severity, rng):
    """Convolves with a Gaussian of s pixels; the border is repeated."""
    sigma = (0.4, 0.6, 0.7, 0.8, 1.0)[severity - 1]
    return ndimage.gaussian_filter(images, (0, sigma, sigma, 0), mode="nearest")


def brightness(images, severity, rng):
    """Adds s to the value of hue, saturation and value, which is the largest channel.

    Hue and saturation stay, so all channels grow by one factor; black becomes grey.
    """
    value = images.max(axis=-1, keepdims=True)
    added = (0.05, 0.1, 0.15, 0.2, 0.3)[severity - 1]
    brighter = np.minimum(value + added, 1)
    return np.where(value > 0, images * brighter / np.maximum(value, 1e-12), brighter)


def contrast(images, severity, rng):
    """Scales the distance to the image's mean color by s."""
    kept = (0.75, 0.5, 0.4, 0.3, 0.15)[severity - 1]
    mean = images.mean(axis=(1, 2), keepdims=True)
    return (images - mean) * kept + mean


CORRUPTIONS = {
    "noise": gaussian_noise,
    "blur": gaussian_blur,
    "brightness": brightness,
    "contrast": contrast,
}


def corrupt(images, name, severity, seed=0):
    """Returns shifted images.

    Args:
        images: `(n, h, w, c)` uint8.
        name: a key of `CORRUPTIONS`.
        severity: int, 1 to 5.
        seed: int; noise is a function of it, the name and the severity.
    Returns:
        `(n, h, w, c)` uint8.
    """
    rng = np.random.default_rng([seed, list(CORRUPTIONS).index(name), severity])
    shifted = CORRUPTIONS[name](images / np.float64(255), severity, rng)
    return (np.clip(shifted, 0, 1) * 255).astype(np.uint8)
