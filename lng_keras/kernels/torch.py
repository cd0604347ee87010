"""Grouped normalization on torch, with a backward pass of its own.

Between the passes only `x` and two numbers a group are kept.
"""

import torch

from lng_keras._base.private.torch import transforms_are_active
from lng_keras.kernels import reference, summed, torch_cpu
from lng_keras.kernels.spec import Spec, Tensor


def normalize(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> Tensor:
    """As `reference.normalize`."""
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
    if not torch_cpu.supports(x, spec):
        return reference
    # One group over all channels: torch reduces what lies together at once.
    return summed if spec.groups > 1 and summed.supports(x, spec) else torch_cpu


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta, spec):
        form = _form(x, spec)
        y, mean, inverse = form.forward(x, gamma, beta, spec)
        ctx.save_for_backward(x, gamma, beta, mean, inverse)
        ctx.form, ctx.spec = form, spec
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, beta, mean, inverse = ctx.saved_tensors
        if torch.is_grad_enabled():
            # create_graph=True: torch does not see that mean and inverse depend on
            # x, so the derivative of the gradient is that of the reference form.
            wanted = [t for t in (x, gamma, beta) if t is not None and t.requires_grad]
            y = reference.normalize(x, gamma, beta, ctx.spec)
            found = iter(torch.autograd.grad(y, wanted, dy, create_graph=True))
            gradients = (
                next(found) if t is not None and t.requires_grad else None
                for t in (x, gamma, beta)
            )
            return *gradients, None
        gradients = ctx.form.backward(x, gamma, beta, mean, inverse, dy, ctx.spec)
        return *gradients, None
