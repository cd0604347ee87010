"""Grouped normalization as JAX operations, with derivatives of both modes.

`custom_vjp` would forbid forward mode and `custom_jvp` cannot name a kernel for the
way back. So there are three primitives: the value, its tangent `push`, and `pull`, the
transpose of `push`. JAX makes grad, jvp, linearize, jacfwd, jacrev and hessian of
them. Each is lowered by the form that suits the platform it is lowered for, which need
not be the one that traces it: see `forms.py`.
"""

import functools

import jax
import jax.numpy as jnp
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from lng_keras.kernels import fused, reference
from lng_keras.kernels.contract import at_places
from lng_keras.kernels.jax import forms
from lng_keras.kernels.spec import Spec, Tensor

# x, gamma, beta -> y, *kept
_norm = Primitive("grouped_norm")
# x, gamma, *kept, *tangents -> dy; `given` says which of dx, dgamma, dbeta there are
_push = Primitive("grouped_norm_push")
# x, gamma, *kept, dy -> those of dx, dgamma, dbeta that are `wanted`
_pull = Primitive("grouped_norm_pull")
for _primitive in (_norm, _push, _pull):
    _primitive.multiple_results = True


def grouped_norm(
    x: Tensor, gamma: Tensor, beta: Tensor, spec: Spec, kernel: str = "auto"
) -> Tensor:
    """The normalized `x`; `kernel` as in `forms.choose`."""
    varying = frozenset().union(*map(_varying, (x, gamma, beta)))
    operands = (_vary(operand, varying) for operand in (x, gamma, beta))
    return _norm.bind(*operands, spec=spec, kernel=kernel)[0]


def _varying(operand):
    """The axes of a manual mesh over which an operand differs between devices."""
    return getattr(jax.typeof(operand), "vma", frozenset())


def _vary(operand, axes):
    """The operand as one that differs; JAX then sums its gradients over the axes."""
    missing = tuple(axes - _varying(operand))
    return jax.lax.pcast(operand, missing, to="varying") if missing else operand


def _kept(spec):
    return 2 if spec.subtract_mean else 1


def _apart(operands, spec):
    """x, gamma, kept as a form wants it, and the rest of the operands."""
    x, gamma, *rest = operands
    kept = rest[: _kept(spec)]
    return x, gamma, (None, *kept)[-2:], rest[_kept(spec) :]


# What the primitives compute, by a form.


def _norm_by(form, x, gamma, beta, *, spec):
    y, kept = form.forward(x, gamma, beta, spec)
    shape, dtype = forms.kept_shape(x, spec)
    kept = [k.reshape(shape) for k in kept if k is not None]
    # Of a form that keeps nothing: nothing reads them, and XLA leaves them out.
    return [y, *(kept or [jnp.zeros(shape, dtype)] * _kept(spec))]


def _push_by(form, *operands, spec, given):
    x, gamma, kept, tangents = _apart(operands, spec)
    return [form.push(x, gamma, kept, *at_places(tangents, given), spec)]


def _pull_by(form, *operands, spec, wanted):
    x, gamma, kept, (dy,) = _apart(operands, spec)
    found = form.pull(x, gamma, kept, dy, spec, wanted)
    dtypes = (x.dtype, gamma.dtype, gamma.dtype)
    return [g.astype(t) for g, t in zip(found, dtypes, strict=True) if g is not None]


# Of what type the results are.


def _norm_type(x, gamma, beta, *, spec, kernel):
    shape, dtype = forms.kept_shape(x, spec)
    return [x.update(), *[x.update(shape=shape, dtype=jnp.dtype(dtype))] * _kept(spec)]


def _push_type(x, *operands, **params):
    return [x.update()]


def _pull_type(x, gamma, *operands, spec, wanted, kernel):
    return [t.update() for t, w in zip((x, gamma, gamma), wanted, strict=True) if w]


# Derivatives.


def _no_tangent(primal):
    return ad.Zero(jax.typeof(primal).to_tangent_aval())


def _norm_jvp(primals, tangents, **params):
    x, gamma, _ = primals
    y, *kept = _norm.bind(*primals, **params)
    given = tuple(not isinstance(t, ad.Zero) for t in tangents)
    there = [t for t, g in zip(tangents, given, strict=True) if g]
    (dy,) = _push.bind(x, gamma, *kept, *there, given=given, **params)
    # What uses `kept` differentiates through x itself: no derivative goes this way.
    return [y, *kept], [dy, *(_no_tangent(k) for k in kept)]


def _jvp_of(primitive, by):
    """The derivative of an operation that is linear in all but x, gamma and kept."""

    def jvp(primals, tangents, *, spec, kernel, **params):
        results = primitive.bind(*primals, spec=spec, kernel=kernel, **params)
        fixed, kept = 2, slice(2, 2 + _kept(spec))
        linear = slice(kept.stop, None)

        def filled(at):
            return [
                jnp.zeros_like(p) if isinstance(t, ad.Zero) else t
                for p, t in zip(primals[at], tangents[at], strict=True)
            ]

        along = []
        if not all(isinstance(t, ad.Zero) for t in tangents[linear]):
            along.append(
                primitive.bind(
                    *primals[: linear.start],
                    *filled(linear),
                    spec=spec,
                    kernel=kernel,
                    **params,
                )
            )
        if not all(isinstance(t, ad.Zero) for t in tangents[:fixed]):

            def of_fixed(x, gamma):
                nothing_kept = _Recomputed
                operands = (x, gamma, *primals[kept], *primals[linear])
                return by(nothing_kept, *operands, spec=spec, **params)

            along.append(
                jax.jvp(of_fixed, primals[:fixed], tuple(filled(slice(fixed))))[1]
            )
        if not along:
            return results, [_no_tangent(r) for r in results]
        return results, [
            functools.reduce(jnp.add, parts) for parts in zip(*along, strict=True)
        ]

    return jvp


class _Recomputed:
    """The plain form without anything kept, so that it depends on x alone."""

    forward = staticmethod(reference.forward)
    push = staticmethod(fused.push)
    pull = staticmethod(fused.pull)


def _push_transpose(cotangents, *operands, spec, given, kernel):
    (dy,) = cotangents
    x, gamma, kept, tangents = _apart(operands, spec)
    asked = [ad.is_undefined_primal(t) for t in tangents]
    nothing = [None] * (len(operands) - len(tangents))
    if isinstance(dy, ad.Zero):
        return [*nothing, *[None] * len(tangents)]
    wanted = tuple(bool(a) for a in at_places(asked, given))
    kept = [k for k in kept if k is not None]
    found = iter(
        _pull.bind(x, gamma, *kept, dy, spec=spec, wanted=wanted, kernel=kernel)
    )
    return [*nothing, *(next(found) if a else None for a in asked)]


def _pull_transpose(cotangents, *operands, spec, wanted, kernel):
    x, gamma, kept, _ = _apart(operands, spec)
    there = [None if isinstance(t, ad.Zero) else t for t in cotangents]
    tangents = at_places(there, wanted)
    given = tuple(t is not None for t in tangents)
    nothing = [None] * (len(operands) - 1)
    if not any(given):
        return [*nothing, None]
    kept = [k for k in kept if k is not None]
    there = [t for t in tangents if t is not None]
    (dy,) = _push.bind(x, gamma, *kept, *there, spec=spec, given=given, kernel=kernel)
    return [*nothing, dy]


# vmap: more rows where the weights are the same for all, the plain form elsewhere.


def _batch_of(primitive, by, weights):
    """`weights(params)`: the places of operands `(c,)`, and whether results are."""

    def batch(operands, dims, *, spec, kernel, **params):
        places, results = weights(len(operands), spec, **params)
        if not results and all(dims[i] is None for i in places):
            size = next(
                o.shape[d] for o, d in zip(operands, dims, strict=True) if d is not None
            )
            rows = [
                operand if i in places else _in_front(operand, dim, size)
                for i, (operand, dim) in enumerate(zip(operands, dims, strict=True))
            ]
            deeper = spec._replace(axes=tuple(a + 1 for a in spec.axes))
            found = primitive.bind(*rows, spec=deeper, kernel=kernel, **params)
        else:
            one = functools.partial(by, _Recomputed, spec=spec, **params)
            found = jax.vmap(one, in_axes=tuple(dims))(*operands)
        return found, [0] * len(found)

    return batch


def _in_front(operand, axis, size):
    if axis is None:
        return jnp.broadcast_to(operand, (size, *operand.shape))
    return jnp.moveaxis(operand, axis, 0)


def _norm_weights(count, spec):
    return (1, 2), False


def _push_weights(count, spec, given):
    linear = count - sum(given)
    return (1, *range(linear + given[0], count)), False


def _pull_weights(count, spec, wanted):
    return (1,), any(wanted[1:])


# Compiled also when called eagerly, and as functions that layers of one shape share.


@functools.partial(jax.jit, static_argnums=(0, 1))
def _evaluated(primitive, params, *operands):
    return primitive.bind(*operands, **dict(params))


@functools.partial(jax.jit, static_argnums=(0, 1, 2))
def _computed(by, form, params, *operands):
    return by(form, *operands, **dict(params))


def _define(primitive, by, type_of, jvp, weights):
    def evaluate(*operands, **params):
        return _evaluated(primitive, tuple(params.items()), *operands)

    primitive.def_impl(evaluate)
    primitive.def_abstract_eval(type_of)
    ad.primitive_jvps[primitive] = jvp
    batching.primitive_batchers[primitive] = _batch_of(primitive, by, weights)

    def lower(context, *operands, platform, kernel, **params):
        alone = forms.has_one_device(context.module_context.axis_context)
        form = forms.choose(platform, alone, kernel, context.avals_in[0], **params)
        fn = functools.partial(_computed, by, form, tuple(params.items()))
        return mlir.lower_fun(fn, multiple_results=True)(context, *operands)

    for platform in forms.PLATFORMS:
        rule = functools.partial(lower, platform=platform)
        mlir.register_lowering(primitive, rule, platform=platform)
    mlir.register_lowering(primitive, functools.partial(lower, platform=None))


_define(_norm, _norm_by, _norm_type, _norm_jvp, _norm_weights)
_define(_push, _push_by, _push_type, _jvp_of(_push, _push_by), _push_weights)
_define(_pull, _pull_by, _pull_type, _jvp_of(_pull, _pull_by), _pull_weights)
ad.primitive_transposes[_push] = _push_transpose
ad.primitive_transposes[_pull] = _pull_transpose
