"""Grouped normalization on torch, with a backward pass of its own.

Between the passes only `x` and two numbers a group are kept.
"""

from typing import Any

import torch

from lng_keras._base.private.torch import transforms_are_active
from lng_keras.kernels import reference, summed
from lng_keras.kernels.spec import Spec, Tensor, weight_tensor
from lng_keras.kernels.torch import cpu


def normalize(x: Tensor, gamma: Any, beta: Any, spec: Spec, kernel: str) -> Tensor:
    """As `reference.normalize`."""
    gamma, beta = weight_tensor(gamma), weight_tensor(beta)
    if _is_traced(x):
        return reference.normalize(x, gamma, beta, spec)
    return _Normalize.apply(x, gamma, beta, spec)


def _is_traced(x):
    """Whether torch compiles, exports or transforms, so needs plain operations."""
    return (
        x.device.type == "meta"
        or torch.compiler.is_compiling()
        or torch.jit.is_tracing()
        or transforms_are_active()
        or type(x) not in (torch.Tensor, torch.nn.Parameter)
    )


def _form(x, spec):
    """The fastest form for eager torch."""
    if not cpu.supports(x, spec):
        return reference
    # One group over all channels: torch reduces what lies together at once.
    return summed if spec.groups > 1 and summed.supports(x, spec) else cpu


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta, spec):
        form = _form(x, spec)
        y, kept = form.forward(x, gamma, beta, spec)
        ctx.save_for_backward(x, gamma, beta, *kept)
        ctx.form, ctx.spec = form, spec
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, beta, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():
            # create_graph=True: torch does not see that what is kept depends on
            # x, so the derivative of the gradient is that of the reference form.
            wanted = [t for t in (x, gamma, beta) if t is not None and t.requires_grad]
            y = reference.normalize(x, gamma, beta, ctx.spec)
            found = iter(torch.autograd.grad(y, wanted, dy, create_graph=True))
            gradients = (
                next(found) if t is not None and t.requires_grad else None
                for t in (x, gamma, beta)
            )
            return *gradients, None
        wanted = tuple(ctx.needs_input_grad[:3])
        found = ctx.form.pull(x, gamma, tuple(kept), dy, ctx.spec, wanted)
        gradients = (
            None if g is None else g.to(t.dtype)
            for g, t in zip(found, (x, gamma, beta), strict=True)
        )
        return *gradients, None
