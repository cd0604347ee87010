"""Compiles a norm by itself, where TensorFlow runs without XLA, as Keras does on a CPU.

There each operation is a pass over memory, and a norm is a dozen of them. So XLA
compiles the norm alone, where that pays and does no harm:

- Eager calls, and what `fit`, `evaluate` and `predict` trace. Other graphs may be
  saved, for where there is no XLA; `kernels.use("compiled")` takes them as well.
- Sizes, or all but the batch's, are known. Each shape is compiled for a tenth of a
  second: of unknown batches those of a power of two, at most thirty; of the others the
  first MOST shapes of a process, in eager calls from their THIRD on.
- Inputs of SMALLEST numbers and more.
"""

import collections
import functools
import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from lng_keras.kernels.contract import ALL, Form, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor

SMALLEST = 1 << 16
MOST = 64
THIRD = 3
# How Keras names what it traces in `fit`, `evaluate` and `predict`. Under other names
# a norm runs uncompiled.
_STEPS = ("one_step_on_data", "one_step_on_data_distributed", "multi_step_on_iterator")
_calls: collections.Counter[Any] = collections.Counter()
_compiled: set[Any] = set()


def pays(x: Tensor, spec: Spec, asked: bool) -> bool:
    """Whether to compile the norm of `x` by itself, or, of unknown batches, some.

    Args:
        asked: whether graphs may have compiled norms that might be saved.
    """
    if not tf.test.is_built_with_xla() or None in x.shape[1:]:
        return False
    if not (asked or tf.executing_eagerly() or _is_a_step_of_keras()):
        return False
    if x.shape[0] is None:
        return True
    if math.prod(x.shape) < SMALLEST:
        return False
    key = (tuple(x.shape), x.dtype, spec)
    if tf.executing_eagerly():
        _calls[key] += len(_compiled) < MOST
        if _calls[key] < THIRD:
            return False
    if len(_compiled) < MOST:
        _compiled.add(key)
    return key in _compiled


def _is_a_step_of_keras():
    graph = tf.compat.v1.get_default_graph()
    while graph is not None:
        if getattr(graph, "name", None) in _STEPS:
            return True
        graph = getattr(graph, "outer_graph", None)
    return False


class Compiled:
    """A form of which XLA compiles each function by itself.

    Args:
        form: of plain operations.
    """

    def __init__(self, form: Form):
        self._form = form

    def forward(
        self, x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
    ) -> tuple[Tensor, Kept]:
        return _run(self._form.forward, spec, (x, gamma, beta))

    def push(
        self,
        x: Tensor,
        gamma: Tensor | None,
        kept: Kept,
        dx: Tensor | None,
        dgamma: Tensor | None,
        dbeta: Tensor | None,
        spec: Spec,
    ) -> Tensor:
        return _run(self._form.push, spec, (x, gamma, kept, dx, dgamma, dbeta))

    def pull(
        self,
        x: Tensor,
        gamma: Tensor | None,
        kept: Kept,
        dy: Tensor,
        spec: Spec,
        wanted: Wanted = ALL,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        return _run(self._form.pull, spec, (x, gamma, kept, dy), wanted)


def _run(fn: Callable[..., Any], spec: Spec, tensors: Any, *more: Any) -> Any:
    """`fn(*tensors, spec, *more)`; of unknown batches some are compiled."""
    x = tensors[0]
    cluster = _cluster(fn, spec, *more)
    if x.shape[0] is not None:
        return cluster(*tensors)
    n = tf.shape(x)[0]
    power_of_two = tf.equal(tf.bitwise.bitwise_and(n, n - 1), 0)
    large = tf.greater_equal(tf.size(x), SMALLEST)
    return tf.cond(
        tf.logical_and(power_of_two, large),
        lambda: cluster(*tensors),
        lambda: fn(*tensors, spec, *more),
    )


@functools.cache
def _cluster(fn, spec, *more):
    """One function for all norms of a kind, so that XLA compiles each shape once."""

    def run(*tensors):
        return fn(*tensors, spec, *more)

    return tf.function(run, jit_compile=True, autograph=False)
