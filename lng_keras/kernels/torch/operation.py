"""The differentiable operation around the forms."""

from typing import Any

import torch

from lng_keras._base.private.torch import transforms_are_active
from lng_keras.kernels import reference
from lng_keras.kernels.spec import Spec, Tensor, weight_tensor
from lng_keras.kernels.torch import forms
from lng_keras.kernels.torch.second import differentiable_pull, has_tangent

# Not told apart from compiling before torch 2.7.
_is_exporting = getattr(torch.compiler, "is_exporting", torch.compiler.is_compiling)


def normalize(x: Tensor, gamma: Any, beta: Any, spec: Spec, kernel: str) -> Tensor:
    """As `reference.normalize`."""
    gamma, beta = weight_tensor(gamma), weight_tensor(beta)
    if _needs_plain_operations(x, gamma, beta):
        return reference.normalize(x, gamma, beta, spec)
    if forms.on_gpu(x, spec, kernel):
        return torch.ops.lng_keras.normalize_rows(
            x, gamma, beta, spec.groups, spec.epsilon, spec.subtract_mean
        )
    if torch.compiler.is_compiling():
        return reference.normalize(x, gamma, beta, spec)
    return _Normalize.apply(x, gamma, beta, spec)


def _needs_plain_operations(x, gamma, beta):
    """Whether torch exports or transforms, which it can do with its own alone."""
    if x.device.type == "meta" or _is_exporting() or torch.jit.is_tracing():
        return True
    if transforms_are_active():
        return True
    if torch.compiler.is_compiling():
        return False
    plain = (torch.Tensor, torch.nn.Parameter)
    return type(x) not in plain or has_tangent(x, gamma, beta)


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta, spec):
        form = forms.eager(x, spec)
        y, kept = form.forward(x, gamma, beta, spec)
        ctx.save_for_backward(x, gamma, beta, *kept)
        ctx.form, ctx.spec = form, spec
        return y

    @staticmethod
    def backward(ctx, dy):
        x, gamma, beta, *kept = ctx.saved_tensors
        wanted = tuple(ctx.needs_input_grad[:3])
        pull = ctx.form.pull
        found = differentiable_pull(
            pull, x, gamma, beta, tuple(kept), dy, ctx.spec, wanted
        )
        return *found, None
