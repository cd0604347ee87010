"""Grouped normalization on torch's CPU: blocks of rows that stay in the cache.

Eager torch runs one whole pass over memory per operation, and reduces or spreads
a last axis of a few numbers one at a time. So rows are worked on in blocks, and
small groups in an order in which each operation meets long vectors.
"""

import math

import torch

from lng_keras.kernels import fused
from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor, space_and_channels, statistics_dtype

# A block has about this many numbers: 4 MB in float32.
BLOCK = 1 << 20
# Groups of at most so many channels are worked on with their channels apart: of rows,
# and where statistics cover space as well.
FEW, FEW_OVER_SPACE = 16, 8
# With their channels apart, rows are taken together until vectors are this long.
LONG = 1024


def supports(x: Tensor, spec: Spec) -> bool:
    """Whether `x` is on a CPU, not empty, and its axes are of a form known here."""
    return (
        x.device.type == "cpu"
        and x.numel() > 0
        and space_and_channels(x, spec) is not None
    )


def forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> tuple[Tensor, Kept]:
    """As `contract.Form.forward`."""
    layout = _layout(x, spec)
    rows, gamma, beta = layout.rows(x), layout.weight(gamma), layout.weight(beta)
    y = torch.empty(rows.shape, dtype=layout.dtype)
    mean: Tensor = layout.empty_statistics() if spec.subtract_mean else None
    inverse = layout.empty_statistics()
    for block in layout.blocks():
        z = _pivoted(rows[block], spec, layout)
        if spec.subtract_mean:
            average = z.mean(layout.axes, keepdim=True)
            mean[block] = average.view(mean[block].shape)
            z.sub_(average)
        # The place of the result serves as scratch: new memory costs a page fault.
        squares = torch.mul(z, z, out=y[block].view(z.shape))
        scale = squares.mean(layout.axes, keepdim=True)
        scale.add_(spec.epsilon).rsqrt_()
        inverse[block] = scale.view(inverse[block].shape)
        z = layout.unload(z.mul_(scale))
        if gamma is not None and beta is not None:
            torch.addcmul(beta, z, gamma, out=y[block])
        elif gamma is not None:
            torch.mul(z, gamma, out=y[block])
        elif beta is not None:
            torch.add(z, beta, out=y[block])
        else:
            y[block] = z
    return y.view(x.shape).to(x.dtype), (mean, inverse)


push = fused.push


def pull(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted = ALL,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """As `contract.Form.pull`."""
    layout = _layout(x, spec)
    rows, drows = layout.rows(x), layout.rows(dy)
    mean: Tensor
    inverse: Tensor
    mean, inverse = kept
    dx = torch.empty(rows.shape, dtype=layout.dtype)
    channels = x.shape[spec.channel_axis]
    dgamma: Tensor
    dbeta: Tensor
    dgamma, dbeta = (
        torch.zeros(channels, dtype=layout.dtype) if w else None for w in wanted[1:]
    )
    for block in layout.blocks():
        z = _pivoted(rows[block], spec, layout)
        scale = layout.statistic(inverse[block], z)
        if spec.subtract_mean:
            z.sub_(layout.statistic(mean[block], z))
        z.mul_(scale)
        t = layout.load(drows[block])
        owned = layout.copies
        along = torch.mul(t, z, out=dx[block].view(z.shape))  # scratch, as above
        if dbeta is not None:
            dbeta += layout.per_channel(t)
        if dgamma is not None:
            dgamma += layout.per_channel(along)
        if gamma is not None:
            weight = layout.loaded_weight(gamma, t)
            along.mul_(weight)
            t, owned = torch.mul(t, weight, out=t if owned else None), True
        along = along.mean(layout.axes, keepdim=True)
        if spec.subtract_mean:
            average = t.mean(layout.axes, keepdim=True)
            t = torch.sub(t, average, out=t if owned else None)
        torch.addcmul(t, z, along, value=-1, out=z).mul_(scale)
        dx[block] = layout.unload(z)
    return (
        dx.view(x.shape).to(x.dtype) if wanted[0] else None,
        dgamma,
        dbeta,
    )


def _pivoted(rows, spec, layout):
    """Loads rows less one element of each group, if means are subtracted, anew."""
    z = layout.load(rows)
    if not spec.subtract_mean:
        return z if layout.copies else z.clone()
    pivot = z
    for axis in layout.axes:
        pivot = pivot.narrow(axis, 0, 1)
    return torch.sub(z, pivot.clone(), out=z if layout.copies else None)


def _layout(x, spec):
    (_, space, channels), kind = space_and_channels(x, spec)
    few = FEW if space == 1 else FEW_OVER_SPACE
    apart = kind == "last" and channels // spec.groups <= few
    return (_Apart if apart else _Together)(x, spec)


class _Layout:
    """How blocks of rows are seen while they are worked on.

    dtype: of the arithmetic.
    axes: of a loaded block, those that share statistics.
    copies: whether a loaded block is always new memory.
    """

    def __init__(self, x, spec, shape, weight, per_row):
        self.dtype = getattr(torch, statistics_dtype(x))
        self._shape, self._weight, self._per_row = shape, weight, per_row
        self._step = max(1, BLOCK // math.prod(shape[1:]))

    def rows(self, x):
        return x.contiguous().view(self._shape)

    def weight(self, weight):
        return None if weight is None else weight.to(self.dtype).view(self._weight)

    def empty_statistics(self):
        return torch.empty((self._shape[0], self._per_row), dtype=self.dtype)

    def blocks(self):
        """Yields the slices of rows that are worked on one after the other."""
        for start in range(0, self._shape[0], self._step):
            yield slice(start, min(start + self._step, self._shape[0]))


class _Together(_Layout):
    """Rows as they lie in memory: the channels of a group beside each other."""

    copies = False

    def __init__(self, x, spec):
        (first, second, third), kind = space_and_channels(x, spec)
        groups = spec.groups
        if kind == "last":
            shape = (first, second, groups, third // groups)
            weight, per_row = (1, 1, *shape[2:]), groups
            self.axes = (1, 3)
        else:
            shape = (first, groups, second // groups, third)
            weight = (1, *shape[1:3], 1)
            joint = len(spec.axes) > 1
            self.axes = (2, 3) if joint else (2,)
            per_row = groups if joint else groups * third
        super().__init__(x, spec, shape, weight, per_row)

    def load(self, rows):
        return rows.to(self.dtype)

    def unload(self, z):
        return z

    def loaded_weight(self, weight, z):
        return self.weight(weight)

    def per_channel(self, z):
        return z.sum_to_size(self._weight).view(-1)

    def statistic(self, values, z):
        shape = [1 if i in self.axes else n for i, n in enumerate(z.shape)]
        return values.view(shape)


class _Apart(_Layout):
    """The first channels of all groups, then the second channels, and so on.

    A block is loaded as `(tiles, size, space, groups)`, with the groups of all rows of
    a tile if positions are on their own. `channel_shuffle` moves channels there and
    back at the speed of a copy; a transposed copy takes ten times as long.
    """

    axes = (1, 2)
    copies = True

    def __init__(self, x, spec):
        (n, space, channels), _ = space_and_channels(x, spec)
        groups = spec.groups
        super().__init__(x, spec, (n, space, channels), (1, 1, channels), groups)
        self._tile = -(-LONG // groups) if space == 1 else 1
        self._step = max(1, self._step // self._tile) * self._tile
        self._space, self._size = space, channels // groups

    def blocks(self):
        n = self._shape[0]
        whole = n - n % self._tile
        for start in range(0, whole, self._step):
            yield slice(start, min(start + self._step, whole))
        if whole < n:
            yield slice(whole, n)

    def load(self, rows):
        tiles = -(-rows.shape[0] // self._tile)
        z = _shuffle(rows.to(self.dtype).reshape(tiles, -1), self._size, there=True)
        return z.view(tiles, self._size, self._space, -1)

    def unload(self, z):
        rows = _shuffle(z.view(z.shape[0], -1), self._size, there=False)
        return rows.view(-1, *self._shape[1:])

    def loaded_weight(self, weight, z):
        by_size = weight.to(self.dtype).view(-1, self._size).T.contiguous()
        return by_size.repeat(1, z.shape[-1] // by_size.shape[1])[:, None]

    def per_channel(self, z):
        by_size = z.sum((0, 2)).view(self._size, -1, self._per_row).sum(1)
        return by_size.T.reshape(-1)

    def statistic(self, values, z):
        return values.view(z.shape[0], 1, 1, -1)


def _shuffle(rows, size, there):
    """`(n, groups * size)` to `(n, size * groups)`, or back."""
    n, channels = rows.shape
    image = rows.view(n, 1, 1, channels).permute(0, 3, 1, 2)  # channels last
    return torch.channel_shuffle(image, channels // size if there else size).view(n, -1)
