"""Grouped normalization on torch, with a backward pass of its own.

Between the passes only `x` and two numbers a group are kept. On CPU, eager torch
runs one whole pass over memory per operation, so the arithmetic is done on
blocks of rows that stay in the cache.
"""

import math

import torch

from lng_keras.kernels import reference
from lng_keras.kernels.spec import space_and_channels, statistics_dtype

# Rows are worked on in blocks of about this many numbers: 4 MB in float32.
BLOCK = 1 << 20
# Torch reduces and broadcasts a last axis of so few numbers one at a time; with
# the channels of a group as the first axis, each operation works on whole vectors.
FEW = 8


def normalize(x, gamma, beta, spec):
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
        or torch._C._are_functorch_transforms_active()
        or type(x) not in (torch.Tensor, torch.nn.Parameter)
    )


class _Normalize(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, gamma, beta, spec):
        blocks = x.device.type == "cpu" and x.numel() and space_and_channels(x, spec)
        form = _Blocks if blocks else reference
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


class _Blocks:
    """`reference.forward` and `reference.backward`, block by block of rows."""

    @staticmethod
    def forward(x, gamma, beta, spec):
        layout = _Layout(x, spec)
        x, gamma, beta = layout.view(x), layout.weight(gamma), layout.weight(beta)
        y = layout.empty()
        mean = layout.empty_statistics(x) if spec.subtract_mean else None
        inverse = layout.empty_statistics(x)
        for rows, scratch in layout.blocks(x):
            out = rows(y)
            z = scratch() if layout.transposed else out
            layout.center(rows(x), z)
            if spec.subtract_mean:
                z.sub_(torch.mean(z, layout.axes, keepdim=True, out=rows(mean)))
            deviation = torch.mean(z.square(), layout.axes, True, out=rows(inverse))
            z.mul_(deviation.add_(spec.epsilon).rsqrt_())
            if z is not out:
                out.copy_(z)
            if gamma is not None and beta is not None:
                torch.addcmul(beta, out, gamma, out=out)
            elif gamma is not None:
                out.mul_(gamma)
            elif beta is not None:
                out.add_(beta)
        return layout.restore(y), mean, inverse

    @staticmethod
    def backward(x, gamma, beta, mean, inverse, dy, spec):
        layout = _Layout(x, spec)
        x, dy, scale = layout.view(x), layout.view(dy), layout.weight(gamma)
        dx = layout.empty()
        dgamma, dbeta = (
            None if w is None else torch.zeros_like(layout.weight(w))
            for w in (gamma, beta)
        )
        for rows, scratch in layout.blocks(x):
            out = rows(dx)
            z = layout.center(rows(x), scratch())
            if spec.subtract_mean:
                z.sub_(rows(mean))
            z.mul_(rows(inverse))
            t = scratch() if layout.transposed else out
            t.copy_(rows(dy))
            along = t * z
            if dgamma is not None:
                dgamma += along.sum_to_size(dgamma.shape)
                along.mul_(scale)
            if dbeta is not None:
                dbeta += t.sum_to_size(dbeta.shape)
            if scale is not None:
                t.mul_(scale)
            along = along.mean(layout.axes, keepdim=True)
            if spec.subtract_mean:
                t.sub_(t.mean(layout.axes, keepdim=True))
            t.addcmul_(z, along, value=-1).mul_(rows(inverse))
            if t is not out:
                out.copy_(t)
        return (
            layout.restore(dx),
            layout.restore_weight(dgamma, gamma),
            layout.restore_weight(dbeta, beta),
        )


class _Layout:
    """How `x` is seen while it is worked on: four axes, one of them the rows.

    axes: those that share statistics.
    transposed: whether the channels of a group are the first axis, so that what is
        written in that order needs a buffer of its own.
    """

    def __init__(self, x, spec):
        (first, second, third), self._kind = space_and_channels(x, spec)
        self._spec, self._like, self._shape = spec, x, x.shape
        self._dtype = getattr(torch, statistics_dtype(x))
        if self._kind == "last":
            size = third // spec.groups
            self._view = (first, second, spec.groups, size)
            self._weight = (1, 1, spec.groups, size)
            self.axes = (1, 3)
        else:
            size = second // spec.groups
            self._view = (first, spec.groups, size, third)
            self._weight = (1, spec.groups, size, 1)
            self.axes = (2, 3) if len(spec.axes) > 1 else (2,)
        self.transposed = self._kind == "last" and size <= FEW
        self._order = (3, 0, 1, 2) if self.transposed else (0, 1, 2, 3)
        if self.transposed:
            self.axes = (0, 2)
        self._rows = self._order.index(0)
        self._row_numbers = math.prod(self._view[1:])

    def view(self, x):
        return x.contiguous().view(self._view).permute(self._order)

    def weight(self, weight):
        if weight is None:
            return None
        return weight.to(self._dtype).view(self._weight).permute(self._order)

    def empty(self):
        return torch.empty(self._view, dtype=self._dtype).permute(self._order)

    def empty_statistics(self, view):
        shape = [1 if i in self.axes else n for i, n in enumerate(view.shape)]
        return torch.empty(shape, dtype=self._dtype)

    def blocks(self, view):
        """Yields a function that cuts a block of rows, and one that gives a buffer."""
        total = view.shape[self._rows]
        step = max(1, BLOCK // self._row_numbers)
        for start in range(0, total, step):
            length = min(step, total - start)
            shape = list(view.shape)
            shape[self._rows] = length

            def rows(tensor, start=start, length=length):
                return tensor.narrow(self._rows, start, length)

            def scratch(shape=shape):
                return torch.empty(shape, dtype=self._dtype)

            yield rows, scratch

    def center(self, block, out):
        """Writes the block less the pivot of each group to `out`."""
        block = block.to(self._dtype)
        if not self._spec.subtract_mean:
            return out.copy_(block)
        pivot = block
        for axis in self.axes:
            pivot = pivot.narrow(axis, 0, 1)
        return torch.sub(block, pivot, out=out)

    def restore(self, view):
        return self._natural(view).reshape(self._shape).to(self._like.dtype)

    def restore_weight(self, view, weight):
        if weight is None:
            return None
        return self._natural(view).reshape(weight.shape).to(weight.dtype)

    def _natural(self, view):
        return view.permute(tuple(self._order.index(i) for i in range(4)))
