"""The arithmetic of grouped normalization: one reference and faster forms of it.

Each backend has a module of its name with `normalize(x, gamma, beta, spec)`; it
is imported at the first call, when that backend is running anyway.
"""

import contextlib
import importlib

import keras

from lng_keras.kernels import reference

_FAST = ("jax", "tensorflow", "torch")
_chosen = "auto"


def normalize(x, gamma, beta, spec):
    """Runs the fastest kernel there is for this input; see `reference.normalize`."""
    backend = keras.backend.backend()
    if _chosen == "reference" or backend not in _FAST:
        return reference.normalize(x, gamma, beta, spec)
    fast = importlib.import_module(f"lng_keras.kernels.{backend}")
    if _chosen == "pallas" and backend == "jax":
        return fast.normalize(x, gamma, beta, spec, kernel="pallas")
    return fast.normalize(x, gamma, beta, spec)


@contextlib.contextmanager
def use(name):
    """Chooses the kernel for what is traced or run inside the `with` block.

    For tests, benchmarks and derivatives: the fast kernels define their own
    first derivative, so forward mode and what builds on it need "reference".

    Args:
        name: "auto", "reference", or "pallas", the TPU kernel, which JAX interprets
            where there is no TPU.
    """
    global _chosen
    if name not in ("auto", "reference", "pallas"):
        raise ValueError(
            f'`name` must be "auto", "reference" or "pallas". Received: {name!r}'
        )
    previous, _chosen = _chosen, name
    try:
        yield
    finally:
        _chosen = previous
