"""Grouped normalization on JAX, with a backward pass of its own.

Between the passes only `x` and two numbers a group are kept. The custom
derivative is reverse mode; its own derivatives come from JAX.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from lng_keras.kernels import reference, strided
from lng_keras.kernels.spec import space_and_channels


def normalize(x, gamma, beta, spec):
    """As `reference.normalize`."""
    form = _form(x, spec)
    if form is None:
        return _normalize(reference, spec, x, gamma, beta)
    rows = x.reshape(form)
    # In rows `(n, s, c)` the statistics cover the axes 1 and 2.
    spec = spec._replace(axes=(1, 2))
    return _normalize(_WalledStrided, spec, rows, gamma, beta).reshape(x.shape)


def _form(x, spec):
    """The shape of the rows if the strided form is the fast one, else None."""
    if jax.default_backend() != "cpu":
        return None  # GPUs and TPUs fuse a reduction over a last axis
    view = space_and_channels(x, spec)
    if view is None or view[1] != "last" or not x.size:
        return None
    size = x.shape[spec.channel_axis] // spec.groups
    return view[0] if strided.levels(size) else None


# Compiled also when called eagerly: op by op, the slices would cost more than
# they save.
_compiled = functools.partial(jax.jit, static_argnums=(0, 1))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _normalize(form, spec, x, gamma, beta):
    return _forward(form, spec, x, gamma, beta)[0]


@_compiled
def _forward(form, spec, x, gamma, beta):
    y, mean, inverse = form.forward(x, gamma, beta, spec)
    return y, (x, gamma, beta, mean, inverse)


@_compiled
def _backward(form, spec, residuals, dy):
    return form.backward(*residuals, dy, spec)


_normalize.defvjp(_forward, _backward)


def _wall(fn, *tensors):
    """`fn(*tensors)`, computed once: XLA does not fuse across a conditional.

    Without it, XLA computes a group's sum again for every channel that uses it.
    The barrier keeps XLA from seeing that the condition is a constant.
    """
    result = jax.eval_shape(fn, *tensors)
    return lax.cond(
        lax.optimization_barrier(jnp.bool_(True)),
        fn,
        lambda *_: jnp.zeros(result.shape, result.dtype),
        *tensors,
    )


class _WalledStrided:
    forward = staticmethod(functools.partial(strided.forward, wall=_wall))
    backward = staticmethod(functools.partial(strided.backward, wall=_wall))
