"""Grouped normalization on JAX, with a backward pass of its own.

Between the passes only `x` and two numbers a group are kept. The custom
derivative is reverse mode; its own derivatives come from JAX.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import keras
from jax import lax

from lng_keras.kernels import reference, strided
from lng_keras.kernels.spec import Spec, Tensor, space_and_channels


def normalize(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    spec: Spec,
    kernel: str = "auto",
) -> Tensor:
    """As `reference.normalize`; `kernel` is "auto" or "pallas"."""
    view = space_and_channels(x, spec) if x.size else None
    if view is None or view[1] != "last":
        return _normalize(reference, spec, x, gamma, beta)
    size = x.shape[spec.channel_axis] // spec.groups
    platform = jax.default_backend()
    rows = x.reshape(view[0])  # (n, s, c): statistics cover the axes 1 and 2
    of_rows = spec._replace(axes=(1, 2))
    if platform == "tpu" or kernel == "pallas":
        run = _on_each_device(rows)
        fits = rows.shape[1] == 1 and _pallas().supports(x.shape[-1], size, x.dtype)
        if fits and run is not None:
            return run(_Pallas, of_rows, rows, gamma, beta).reshape(x.shape)
    if platform == "cpu" and strided.levels(size):
        y = _normalize(_WalledStrided, of_rows, rows, gamma, beta)
        return y.reshape(x.shape)
    # A GPU fuses a reduction over a last axis.
    return _normalize(reference, spec, x, gamma, beta)


def _on_each_device(rows):
    """`_normalize` for rows that may be spread over devices, or None if it cannot be.

    XLA cannot partition a Pallas kernel by itself, so each device is given its own
    rows; the gradients of gamma and beta are summed over the devices.
    """
    if jax.device_count() == 1:
        return _normalize
    distribution = keras.distribution.distribution()
    if not isinstance(distribution, keras.distribution.DataParallel):
        return None
    mesh = distribution.device_mesh.backend_mesh
    return None if rows.shape[0] % mesh.size else over(mesh)


def over(mesh: jax.sharding.Mesh) -> Callable[..., Tensor]:
    """`_normalize` for rows spread over all axes of a `jax.sharding.Mesh`."""
    spread = jax.sharding.PartitionSpec(mesh.axis_names)
    whole = jax.sharding.PartitionSpec()

    def run(form, spec, rows, gamma, beta):
        return jax.shard_map(
            functools.partial(_normalize, form, spec),
            mesh=mesh,
            in_specs=(spread, whole, whole),
            out_specs=spread,
            check_vma=False,  # Pallas does not say how its results vary
        )(rows, gamma, beta)

    return run


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


def _pallas():
    from lng_keras.kernels import pallas  # slow to import, and of use on a TPU only

    return pallas


class _Pallas:
    """The TPU kernel, for rows `(n, 1, c)`; on a CPU it is interpreted, for tests."""

    @staticmethod
    def forward(x, gamma, beta, spec):
        y = _pallas().forward(x[:, 0], gamma, beta, spec.groups, spec, _interpreted())
        return y[:, None], None, None

    @staticmethod
    def backward(x, gamma, beta, mean, inverse, dy, spec):
        dx, dgamma, dbeta = _pallas().backward(
            x[:, 0], gamma, dy[:, 0], spec.groups, spec, _interpreted()
        )
        return (
            dx[:, None],
            None if gamma is None else dgamma.astype(gamma.dtype),
            None if beta is None else dbeta.astype(beta.dtype),
        )


def _interpreted():
    return jax.default_backend() == "cpu"
