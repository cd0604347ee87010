"""Grouped normalization on CUDA: one pass over memory, also with gradients of weights.

A program takes a block of rows and of whole groups, a few rows at a time, and leaves
the block's sums for gamma and beta, which are added up afterwards: few numbers. Its
arrays have sizes of powers of two; what is beyond the input is masked. As in
`jax/triton.py`, the pivot is the group's maximum, and nothing is kept.

The two operations are torch's own, so torch.compile sees through them.
"""

import contextlib
import math
from typing import NamedTuple

import torch
import triton
from torch.library import triton_op, wrap_triton
from triton import language as tl

from lng_keras.kernels import fused
from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor, statistics_dtype
from lng_keras.kernels.torch.second import differentiable_pull

# Numbers that a program works on at once: 32 for each of its 128 threads.
AT_ONCE = 4096
WARPS = 4
# Rows of a block: the sums it leaves are a 64th of what it reads.
ROWS = 64


def normalize(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> Tensor:
    """As `reference.normalize`, for statistics over the last axis alone."""
    return _normalize(x, gamma, beta, spec.groups, spec.epsilon, spec.subtract_mean)


def forward(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> tuple[Tensor, Kept]:
    """As `contract.Form.forward`; keeps nothing."""
    return normalize(x, gamma, beta, spec), ()


push = fused.push


def pull(
    x: Tensor,
    gamma: Tensor | None,
    kept: Kept,
    dy: Tensor,
    spec: Spec,
    wanted: Wanted = ALL,
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """As `contract.Form.pull`, in one pass."""
    numbers = (spec.groups, spec.epsilon, spec.subtract_mean)
    found = _pull(x, gamma, dy, *numbers, *wanted)
    dx, dgamma, dbeta = (g if w else None for g, w in zip(found, wanted, strict=True))
    return dx, dgamma, dbeta


@triton_op("lng_keras::normalize_rows", mutates_args={})
def _normalize(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    beta: torch.Tensor | None,
    groups: int,
    epsilon: float,
    subtract_mean: bool,
) -> torch.Tensor:
    y = torch.empty_like(x, memory_format=torch.contiguous_format)
    blocks = _blocks(x, groups)
    with _on_device_of(x):
        wrap_triton(_forward_kernel)[blocks.grid](
            x.contiguous(),
            x if gamma is None else gamma.contiguous(),
            x if beta is None else beta.contiguous(),
            y,
            blocks.rows,
            **blocks.constants(x, groups, epsilon, subtract_mean),
            HAS_GAMMA=gamma is not None,
            HAS_BETA=beta is not None,
            num_warps=blocks.warps,
        )
    return y


@triton_op("lng_keras::pull_rows", mutates_args={})
def _pull(
    x: torch.Tensor,
    gamma: torch.Tensor | None,
    dy: torch.Tensor,
    groups: int,
    epsilon: float,
    subtract_mean: bool,
    dx_wanted: bool,
    dgamma_wanted: bool,
    dbeta_wanted: bool,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    blocks, channels = _blocks(x, groups), x.shape[-1]
    dx = torch.empty_like(x, memory_format=torch.contiguous_format)
    sums = torch.empty(
        (2, blocks.grid[0], channels),
        dtype=getattr(torch, statistics_dtype(x)),
        device=x.device,
    )
    along, level = sums.unbind()
    with _on_device_of(x):
        wrap_triton(_pull_kernel)[blocks.grid](
            x.contiguous(),
            x if gamma is None else gamma.contiguous(),
            dy.contiguous(),
            dx,
            along,
            level,
            blocks.rows,
            **blocks.constants(x, groups, epsilon, subtract_mean),
            HAS_GAMMA=gamma is not None,
            DX=dx_wanted,
            DGAMMA=dgamma_wanted,
            DBETA=dbeta_wanted,
            num_warps=blocks.warps,
        )
    # What is not asked for has never been written: its numbers are not looked at.
    return dx, along.sum(0), level.sum(0)


def _keep(ctx, inputs, output):
    x, gamma, beta, *numbers = inputs
    ctx.save_for_backward(x, gamma, beta)
    ctx.spec = Spec(numbers[0], (x.ndim - 1,), *numbers[1:])


def _backward(ctx, dy):
    found = differentiable_pull(
        pull, *ctx.saved_tensors, (), dy, ctx.spec, ctx.needs_input_grad[:3]
    )
    return *found, None, None, None


_normalize.register_autograd(_backward, setup_context=_keep)


def _on_device_of(x):
    """Triton starts a kernel on the current device, whatever its tensors are on."""
    if x.is_cuda and torch.cuda.device_count() > 1:
        return torch.cuda.device_of(x)
    return contextlib.nullcontext()


class _Blocks(NamedTuple):
    """How rows `(n, c)` are cut into blocks of rows and whole groups.

    rows: of the input.
    block: (rows at a time, groups, channels of a group), powers of two.
    steps: how often so many rows are taken in a block.
    grid: the number of blocks of rows, and of groups.
    warps: of a program; more where a single group is more than it works on at once.
    """

    rows: int
    block: tuple[int, int, int]
    steps: int
    grid: tuple[int, int]
    warps: int

    def constants(self, x, groups, epsilon, subtract_mean):
        return dict(
            GROUPS=groups,
            SIZE=int(x.shape[-1]) // groups,
            EPSILON=epsilon,
            SUBTRACT_MEAN=subtract_mean,
            AT_ONCE=self.block[0],
            MANY=self.block[1],
            WIDE=self.block[2],
            STEPS=self.steps,
            DOUBLE=x.dtype == torch.float64,
        )


def _blocks(x, groups):
    # An int also where torch.compile keeps sizes open: the kernel is built for it.
    channels, n = int(x.shape[-1]), math.prod(x.shape[:-1])
    wide = triton.next_power_of_2(channels // groups)
    many = min(triton.next_power_of_2(groups), max(1, AT_ONCE // 4 // wide))
    at_once = max(1, AT_ONCE // (wide * many))
    if isinstance(n, int):
        at_once = min(at_once, triton.next_power_of_2(n))
    steps = max(1, ROWS // at_once)
    grid = (-(-n // (at_once * steps)), -(-groups // many))
    warps = WARPS * max(1, wide // AT_ONCE)
    return _Blocks(n, (at_once, many, wide), steps, grid, warps)


@triton.jit
def _channels(MANY: tl.constexpr, WIDE: tl.constexpr, GROUPS, SIZE):
    """`(1, MANY, WIDE)`: channels, whether each is there, and is within its group."""
    group = tl.program_id(1) * MANY + tl.arange(0, MANY)[None, :, None]
    within = tl.arange(0, WIDE)[None, None, :]
    in_group = within < SIZE
    return group * SIZE + within, (group < GROUPS) & in_group, in_group


@triton.jit
def _mean(x, SIZE: tl.constexpr):
    # A bare number would be one of float32, beside float64 as well.
    return tl.sum(x, 2, keep_dims=True) * tl.full((), 1.0 / SIZE, x.dtype)


@triton.jit
def _standardized(
    x,
    in_group,
    SIZE: tl.constexpr,
    WIDE: tl.constexpr,
    EPSILON: tl.constexpr,
    SUBTRACT_MEAN: tl.constexpr,
):
    """The normalized numbers, and the inverse deviations."""
    if SUBTRACT_MEAN:
        if WIDE == SIZE:
            x = x - tl.max(x, 2, keep_dims=True)
            x = x - _mean(x, SIZE)
        else:
            x = x - tl.max(tl.where(in_group, x, -float("inf")), 2, keep_dims=True)
            x = tl.where(in_group, x, 0.0)
            x = tl.where(in_group, x - _mean(x, SIZE), 0.0)
    inverse = tl.rsqrt(_mean(x * x, SIZE) + tl.full((), EPSILON, x.dtype))
    return x * inverse, inverse


@triton.jit
def _forward_kernel(
    x_ptr,
    gamma_ptr,
    beta_ptr,
    y_ptr,
    rows,
    GROUPS: tl.constexpr,
    SIZE: tl.constexpr,
    EPSILON: tl.constexpr,
    SUBTRACT_MEAN: tl.constexpr,
    AT_ONCE: tl.constexpr,
    MANY: tl.constexpr,
    WIDE: tl.constexpr,
    STEPS: tl.constexpr,
    DOUBLE: tl.constexpr,
    HAS_GAMMA: tl.constexpr,
    HAS_BETA: tl.constexpr,
):
    dtype: tl.constexpr = tl.float64 if DOUBLE else tl.float32
    channel, there, in_group = _channels(MANY, WIDE, GROUPS, SIZE)
    if HAS_GAMMA:
        gamma = tl.load(gamma_ptr + channel, there, 0.0).to(dtype)
    if HAS_BETA:
        beta = tl.load(beta_ptr + channel, there, 0.0).to(dtype)
    first = tl.program_id(0) * (AT_ONCE * STEPS)
    start = first.to(tl.int64) * (GROUPS * SIZE)
    for step in range(STEPS):
        row = step * AT_ONCE + tl.arange(0, AT_ONCE)[:, None, None]
        place = start + (row * (GROUPS * SIZE) + channel)
        inside = (first + row < rows) & there
        x = tl.load(x_ptr + place, inside, 0.0).to(dtype)
        y, _ = _standardized(x, in_group, SIZE, WIDE, EPSILON, SUBTRACT_MEAN)
        if HAS_GAMMA:
            y = y * gamma
        if HAS_BETA:
            y = y + beta
        tl.store(y_ptr + place, y.to(y_ptr.dtype.element_ty), inside)


@triton.jit
def _pull_kernel(
    x_ptr,
    gamma_ptr,
    dy_ptr,
    dx_ptr,
    dgamma_ptr,
    dbeta_ptr,
    rows,
    GROUPS: tl.constexpr,
    SIZE: tl.constexpr,
    EPSILON: tl.constexpr,
    SUBTRACT_MEAN: tl.constexpr,
    AT_ONCE: tl.constexpr,
    MANY: tl.constexpr,
    WIDE: tl.constexpr,
    STEPS: tl.constexpr,
    DOUBLE: tl.constexpr,
    HAS_GAMMA: tl.constexpr,
    DX: tl.constexpr,
    DGAMMA: tl.constexpr,
    DBETA: tl.constexpr,
):
    dtype: tl.constexpr = tl.float64 if DOUBLE else tl.float32
    channel, there, in_group = _channels(MANY, WIDE, GROUPS, SIZE)
    if HAS_GAMMA:
        gamma = tl.load(gamma_ptr + channel, there, 0.0).to(dtype)
    dgamma = tl.zeros((1, MANY, WIDE), dtype)
    dbeta = tl.zeros((1, MANY, WIDE), dtype)
    first = tl.program_id(0) * (AT_ONCE * STEPS)
    start = first.to(tl.int64) * (GROUPS * SIZE)
    for step in range(STEPS):
        row = step * AT_ONCE + tl.arange(0, AT_ONCE)[:, None, None]
        place = start + (row * (GROUPS * SIZE) + channel)
        inside = (first + row < rows) & there
        x = tl.load(x_ptr + place, inside, 0.0).to(dtype)
        dy = tl.load(dy_ptr + place, inside, 0.0).to(dtype)
        z, inverse = _standardized(x, in_group, SIZE, WIDE, EPSILON, SUBTRACT_MEAN)
        if DX:
            t = dy
            if HAS_GAMMA:
                t = dy * gamma
            dx = t - z * _mean(t * z, SIZE)
            if SUBTRACT_MEAN:
                dx = dx - _mean(t, SIZE)
            dx = dx * inverse
            tl.store(dx_ptr + place, dx.to(dx_ptr.dtype.element_ty), inside)
        if DGAMMA:
            dgamma += tl.sum(dy * z, 0, keep_dims=True)
        if DBETA:
            dbeta += tl.sum(dy, 0, keep_dims=True)
    place = tl.program_id(0).to(tl.int64) * (GROUPS * SIZE) + channel
    if DGAMMA:
        tl.store(dgamma_ptr + place, dgamma, there)
    if DBETA:
        tl.store(dbeta_ptr + place, dbeta, there)
