"""Which form of the arithmetic runs.

Each backend has a room of its name with `normalize(x, gamma, beta, spec, kernel)`; what
runs there on which device is a table of its own:

| backend | where it is chosen | forms |
|---|---|---|
| JAX | `jax/forms.py`, when a program is lowered | CPU, CUDA, TPU, cut by XLA |
| TensorFlow | `tensorflow/forms.py` | with XLA, without |
| torch | `torch/forms.py` | CPU, CUDA, traced |

Everywhere else, and with `use("reference")`, runs `reference.normalize`.
"""

import contextlib
import importlib
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

from lng_keras.kernels import pooled, reference
from lng_keras.kernels.spec import Spec, Tensor, space_and_channels, weight_tensor

_FAST = ("jax", "tensorflow", "torch")
NAMES = ("auto", "reference", "pooled", "pallas", "triton", "compiled")
_chosen = "auto"
_of_backend: Callable[..., Tensor] | None = None


def normalize(x: Tensor, gamma: Any, beta: Any, spec: Spec) -> Tensor:
    """Runs the fastest form there is for this input; see `reference.normalize`.

    Args:
        gamma, beta: tensors or Keras variables `(c,)`, or None.
    """
    if len(x.shape) >= 5 and space_and_channels(x, spec) is None:
        return _normalize_reordered(x, gamma, beta, spec)
    if _chosen == "pooled" and pooled.supports(x, spec):
        return pooled.normalize(x, weight_tensor(gamma), weight_tensor(beta), spec)
    if _chosen == "reference" or _of_backend is None:
        gamma, beta = weight_tensor(gamma), weight_tensor(beta)
        return reference.normalize(x, gamma, beta, spec)
    kernel = "auto" if _chosen == "pooled" else _chosen
    return _of_backend(x, gamma, beta, spec, kernel)


def _imported():
    """The function of the backend that runs; imported here and not in a call, where
    torch.compile could not look through it."""
    backend = keras.backend.backend()
    if backend not in _FAST:
        return None
    return importlib.import_module(f"lng_keras.kernels.{backend}").normalize


_of_backend = _imported()


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
    """Chooses the form for what is traced or run inside the `with` block.

    Args:
        name: "auto"; "reference", the plain form; "pooled", for runtimes of exported
            models, where it pays; "pallas" or "triton", the kernel for
            a TPU or a GPU, which is interpreted where there is none: for tests;
            "compiled", on TensorFlow, that XLA compiles each norm by itself wherever
            that pays, also in graphs that might be saved.
    """
    global _chosen
    if name not in NAMES:
        raise ValueError(
            f"`name` must be one of {', '.join(map(repr, NAMES))}. Received: {name!r}"
        )
    previous, _chosen = _chosen, name
    try:
        yield
    finally:
        _chosen = previous
