"""Directional derivatives of a Keras function, by forward mode on every backend.

Forward mode needs no memory for the pass back and no matrix of size d x d: one
direction costs a small multiple of one evaluation of the function, at any d.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np

from lng_keras import kernels


def as_function(
    fn_or_model: Callable[[Any], Any] | keras.layers.Layer, x: Any
) -> Callable[[Any], Any]:
    """Returns a function of a tensor; a layer or model is called for inference.

    Args:
        x: array, the points at which it will be called.
    """
    if not isinstance(fn_or_model, keras.layers.Layer):
        if not callable(fn_or_model):
            raise ValueError(
                "Expected a function of a batch, a layer or a model. "
                f"Received: {fn_or_model!r}"
            )
        return fn_or_model

    if not fn_or_model.built:
        # Here and not while it is differentiated, where its weights would be traced.
        fn_or_model(x[:1])

    def fn(x):
        return fn_or_model(x, training=False)

    return fn


def compute_dtype(fn_or_model: Any, x: Any) -> str:
    """The dtype to differentiate in: float64 if asked for, otherwise float32.

    A model decides by its own dtype, since it casts whatever it is given. Half
    precision is not offered: its second derivatives are rounding noise.
    """
    dtype = getattr(fn_or_model, "compute_dtype", None) or np.asarray(x).dtype.name
    return "float64" if dtype == "float64" else "float32"


class SecondDerivative:
    """Evaluates `(J u, D2 f(x)[u, v])` row by row over a batch.

    Args:
        fn: function of one or more tensors `(b, ...)` to one tensor `(b, ...)`, each
            row by itself. Anything that mixes rows (batch statistics in training)
            gives derivatives of the mixture.

    `__call__(xs, us, vs)` takes lists of arrays, one for each argument of `fn`, and
    returns two float64 arrays `(b, k)`: the derivative along `u`, and the second
    derivative along `u` and `v`. Keep the shapes equal from call to call: a new shape
    compiles again.
    """

    def __init__(self, fn: Callable[..., Any]):
        def flat(*xs):
            y = fn(*xs)
            if isinstance(y, (list, tuple, dict)):
                raise ValueError(
                    "The function must return one tensor. "
                    f"Received: a {type(y).__name__} of {len(y)}"
                )
            return keras.ops.reshape(y, (xs[0].shape[0], -1))

        backend = keras.backend.backend()
        if backend not in _BACKENDS:
            raise ValueError(
                "Derivatives need the tensorflow, jax or torch backend. "
                f"Received: KERAS_BACKEND={backend}"
            )
        self._run = _BACKENDS[backend](flat)

    def __call__(
        self, xs: Sequence[Any], us: Sequence[Any], vs: Sequence[Any]
    ) -> tuple[np.ndarray, np.ndarray]:
        tensors = [[keras.ops.convert_to_tensor(a) for a in xu] for xu in (xs, us, vs)]
        with kernels.use("reference"):
            first, second = self._run(*tensors)
        return tuple(
            keras.ops.convert_to_numpy(t).astype(np.float64) for t in (first, second)
        )


def _tensorflow(fn):
    import tensorflow as tf

    from lng_keras._base.private.tensorflow import exact_moments

    accumulate = tf.autodiff.ForwardAccumulator
    zero = tf.UnconnectedGradients.ZERO  # a linear function has no second tangent

    @tf.function(autograph=False)
    def run(xs, us, vs):
        with exact_moments():  # while `run` is traced, and only then
            with accumulate(xs, vs) as outer:
                with accumulate(xs, us) as inner:
                    y = fn(*xs)
                first = inner.jvp(y, unconnected_gradients=zero)
            return first, outer.jvp(first, unconnected_gradients=zero)

    return run


def _jax(fn):
    import jax

    @jax.jit
    def run(xs, us, vs):
        def along_u(*xs):
            return jax.jvp(fn, xs, tuple(us))[1]

        return jax.jvp(along_u, tuple(xs), tuple(vs))

    return run


def _torch(fn):
    import torch
    from torch.nn.attention import SDPBackend, sdpa_kernel

    decomposed = _decomposed_torch_functions()

    class Decompose(torch.overrides.TorchFunctionMode):
        def __torch_function__(self, function, types, args=(), kwargs=None):
            return decomposed.get(function, function)(*args, **(kwargs or {}))

    def run(xs, us, vs):
        def along_u(*xs):
            return torch.func.jvp(fn, xs, tuple(us))[1]

        # Of the attention kernels only the plain one has forward derivatives.
        with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), Decompose():
            with warnings.catch_warnings():
                # torch's own decompositions call a function that torch deprecates.
                warnings.filterwarnings("ignore", ".*torch.jit.script.*")
                return torch.func.jvp(along_u, tuple(xs), tuple(vs))

    return run


def _decomposed_torch_functions():
    """torch functions whose second forward derivative torch lacks, from parts.

    torch 2.13 refuses silu, mish and glu, and for layer_norm it returns wrong numbers,
    off by a quarter of the largest, or fails an internal assertion.
    """
    import torch
    from torch.nn import functional as F

    def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-5):
        axes = tuple(range(-len(normalized_shape), 0))
        z = input - input.mean(axes, keepdim=True)
        z = z * torch.rsqrt(z.square().mean(axes, keepdim=True) + eps)
        z = z if weight is None else z * weight
        return z if bias is None else z + bias

    def silu(input, inplace=False):
        return input * torch.sigmoid(input)

    def mish(input, inplace=False):
        return input * torch.tanh(F.softplus(input))

    def glu(input, dim=-1):
        a, b = input.chunk(2, dim)
        return a * torch.sigmoid(b)

    return {F.layer_norm: layer_norm, F.silu: silu, F.mish: mish, F.glu: glu}


_BACKENDS = {"tensorflow": _tensorflow, "jax": _jax, "torch": _torch}
