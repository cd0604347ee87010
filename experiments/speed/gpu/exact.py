"""Grouped normalization and its gradients in float64 NumPy, by the definition."""

import numpy as np

from experiments.speed.gpu.cases import EPSILON


def by_pass(x, gamma, beta, dy, size):
    """Returns dict pass -> tuple of arrays, for rows `x` of `(n, c)`."""
    x, gamma, beta, dy = (np.asarray(t, "float64") for t in (x, gamma, beta, dy))
    cut = (len(x), -1, size)
    z = x.reshape(cut)
    z = z - z.mean(-1, keepdims=True)
    deviation = np.sqrt((z**2).mean(-1, keepdims=True) + EPSILON)
    unit = z / deviation
    given = (dy * gamma).reshape(cut)
    along = (given * unit).mean(-1, keepdims=True)
    dx = (given - given.mean(-1, keepdims=True) - unit * along) / deviation
    unit, dx = unit.reshape(x.shape), dx.reshape(x.shape)
    sums = (dy * unit).sum(0), dy.sum(0)
    return {
        "forward": (unit * gamma + beta,),
        "dx": (dx,),
        "gradient": (dx, *sums),
    }
