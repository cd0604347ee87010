"""Which form of the arithmetic runs.

Each backend has a module of its name with `normalize(x, gamma, beta, spec)`; it
is imported at the first call, when that backend is running anyway.
"""

import contextlib
import importlib
import math
from collections.abc import Iterator

import keras
from keras import ops

from lng_keras.kernels import reference
from lng_keras.kernels.spec import Spec, Tensor, space_and_channels

_FAST = ("jax", "tensorflow", "torch")
_chosen = "auto"


def normalize(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> Tensor:
    """Runs the fastest kernel there is for this input; see `reference.normalize`."""
    if len(x.shape) >= 5 and space_and_channels(x, spec) is None:
        return _normalize_reordered(x, gamma, beta, spec)
    backend = keras.backend.backend()
    if _chosen == "reference" or backend not in _FAST:
        return reference.normalize(x, gamma, beta, spec)
    fast = importlib.import_module(f"lng_keras.kernels.{backend}")
    if _chosen == "pallas" and backend == "jax":
        return fast.normalize(x, gamma, beta, spec, kernel="pallas")
    return fast.normalize(x, gamma, beta, spec)


def _normalize_reordered(x, gamma, beta, spec):
    """With the axes that share statistics moved to the end, as `(n, s, c)`.

    Eager TensorFlow broadcasts no more than five axes that cannot be merged, and
    statistics over scattered axes of a rank of five or more need them.
    """
    kept = [i for i in range(len(x.shape)) if i not in spec.axes]
    order = [*kept, *spec.axes]
    moved = ops.transpose(x, order)
    shape = ops.shape(moved)
    n, s = math.prod(shape[: len(kept)]), math.prod(shape[len(kept) : -1])
    rows = ops.reshape(moved, (n, s, x.shape[spec.channel_axis]))
    y = normalize(rows, gamma, beta, spec._replace(axes=(1, 2)))
    back = sorted(range(len(order)), key=order.__getitem__)
    return ops.transpose(ops.reshape(y, shape), back)


@contextlib.contextmanager
def use(name: str) -> Iterator[None]:
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
