"""The gradients that a kernel gives, and their own derivatives by the plain form."""

from collections.abc import Callable
from typing import Any

import torch

from lng_keras.kernels import reference
from lng_keras.kernels.contract import Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor


def differentiable_pull(
    pull: Callable[..., Any],
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted,
) -> list[Tensor | None]:
    """As `contract.Form.pull`, in the dtypes of x, gamma and beta.

    Under create_graph=True, or for a `dy` with a tangent, torch would not see that what
    is kept depends on x: then the gradients are those of the reference form.
    """
    inputs = (x, gamma, beta)
    if torch.is_grad_enabled() or has_tangent(dy):
        chosen = [t for t, w in zip(inputs, wanted, strict=True) if w]
        with torch.enable_grad():
            y = reference.normalize(x, gamma, beta, spec)
        found = iter(
            torch.autograd.grad(y, chosen, dy, create_graph=torch.is_grad_enabled())
        )
        return [next(found) if w else None for w in wanted]
    found = pull(x, gamma, kept, dy, spec, tuple(wanted))
    return [
        None if g is None else g.to(t.dtype) for g, t in zip(found, inputs, strict=True)
    ]


def has_tangent(*tensors: Tensor | None) -> bool:
    """Whether a derivative in forward mode is asked for."""
    unpack = torch.autograd.forward_ad.unpack_dual
    return any(t is not None and unpack(t).tangent is not None for t in tensors)
