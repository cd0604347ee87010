"""Grouped normalization on TPU: a Pallas kernel, forward and backward.

XLA pads a last axis of a few channels to 128 lanes and moves up to twenty times the
bytes. Here a block of rows is read once into VMEM and written once. A group's sum
reaches all its channels by one product with a block-diagonal matrix of ones, a tile
of channels at a time; float32 goes through the bfloat16 matrix unit as a sum of three
bfloat16 parts, which hold its 24 bits exactly.

The first mean is subtracted and then the mean of what is left, which has the same
effect as the pivot of the reference: the difference of near numbers is exact.
The backward pass computes the statistics again, so nothing but `x` is kept.

XLA lays out rows whose channels do not fill the 128 lanes with the rows along the
lanes instead. The kernel follows it, since it would move every array twice otherwise:
blocks are `(rows, channels)` or `(channels, rows)`.
"""

import functools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from lng_keras.kernels.spec import Spec, Tensor

LANES = 128
# The widest product that still costs less than the memory it saves.
WIDEST_TILE = 512
# Of a core's VMEM (16 MB on a v5e), for the arrays of one block of rows.
BLOCK_BYTES = 6 << 20


def tile_width(channels: int, size: int) -> int | None:
    """Channels worked on at once: whole groups and whole lanes, or None if too many.

    A group of all channels needs no tile: 0.
    """
    if size == channels:
        return 0
    width = math.lcm(size, LANES)
    if channels % width:
        width = channels
    return width if width <= WIDEST_TILE else None


def supports(channels: int, size: int, dtype: Any) -> bool:
    return dtype in (jnp.float32, jnp.bfloat16) and (
        tile_width(channels, size) is not None
    )


def channels_axis(channels: int) -> int:
    """The axis of the channels in a block: 1 where they fill the lanes, else 0."""
    return 0 if channels % LANES else 1


def block_rows(rows: int, channels: int, arrays: int, itemsize: int) -> int:
    """Rows of a block: as many as fit `BLOCK_BYTES`, twice for double buffering.

    Args:
        arrays: arrays of the size of `x` that the kernel reads and writes.
        itemsize: bytes of one number of them.
    """
    unit = LANES if channels_axis(channels) == 0 else 16
    # Besides the buffers, the kernel's float32 copies of its widest tile.
    per_row = channels * (2 * arrays * itemsize + 4)
    fit = max(unit, BLOCK_BYTES // per_row // unit * unit)
    return min(fit, 4 * LANES, -(-rows // unit) * unit)


@functools.partial(jax.jit, static_argnames=("groups", "spec", "interpret"))
def forward(
    x: Tensor,
    gamma: Tensor | None,
    beta: Tensor | None,
    groups: int,
    spec: Spec,
    interpret: bool = False,
) -> Tensor:
    """The normalized rows.

    Args:
        x: `(n, c)`, float32 or bfloat16.
        gamma, beta: `(c,)` or None.
    """
    form = _Form(x, groups, arrays=2)
    weights = [w for w in (gamma, beta) if w is not None]

    def kernel(x_ref, *refs):
        *weight_refs, y_ref = refs
        for tile in form.tiles():
            given = [ref[tile] for ref in weight_refs]
            y, _ = _standardize(x_ref[tile], form, spec)
            if gamma is not None:
                y = y * given.pop(0)
            if beta is not None:
                y = y + given.pop(0)
            y_ref[tile] = y.astype(y_ref.dtype)

    y = pl.pallas_call(
        kernel,
        grid=form.grid,
        in_specs=[form.block] + [form.whole] * len(weights),
        out_specs=form.block,
        out_shape=form.like_x,
        interpret=interpret,
    )(form.turn(x), *(form.weight(w) for w in weights))
    return form.turn(y)


@functools.partial(jax.jit, static_argnames=("groups", "spec", "interpret"))
def backward(
    x: Tensor,
    gamma: Tensor | None,
    dy: Tensor,
    groups: int,
    spec: Spec,
    interpret: bool = False,
) -> tuple[Tensor, Tensor | None, Tensor | None]:
    """The gradients of the rows, `(n, c)`, and of gamma and beta, `(c,)` float32."""
    form = _Form(x, groups, arrays=3)
    weights = [] if gamma is None else [gamma]

    def kernel(x_ref, dy_ref, *refs):
        *weight_refs, dx_ref, dgamma_ref, dbeta_ref = refs

        @pl.when(pl.program_id(0) == 0)
        def _():
            dgamma_ref[...] = jnp.zeros_like(dgamma_ref)
            dbeta_ref[...] = jnp.zeros_like(dbeta_ref)

        for tile in form.tiles():
            dy = dy_ref[tile].astype(jnp.float32)
            z, inverse = _standardize(x_ref[tile], form, spec)
            if form.overhang:  # the last block reaches past the end
                row = jax.lax.broadcasted_iota(jnp.int32, z.shape, 1 - form.axis)
                inside = row + pl.program_id(0) * form.rows < x.shape[0]
                z, dy = jnp.where(inside, z, 0.0), jnp.where(inside, dy, 0.0)
            t = dy * weight_refs[0][tile] if weight_refs else dy
            # Two parts hold 16 bits, enough for a mean that is subtracted.
            dx = t - z * _group_mean(t * z, form, parts=2)
            if spec.subtract_mean:
                dx = dx - _group_mean(t, form, parts=2)
            dx_ref[tile] = (dx * inverse).astype(dx_ref.dtype)
            over_rows = dict(axis=1 - form.axis, keepdims=True)
            dgamma_ref[tile] += jnp.sum(dy * z, **over_rows)
            dbeta_ref[tile] += jnp.sum(dy, **over_rows)

    dx, dgamma, dbeta = pl.pallas_call(
        kernel,
        grid=form.grid,
        in_specs=[form.block] * 2 + [form.whole] * len(weights),
        out_specs=[form.block, form.whole, form.whole],
        out_shape=[form.like_x, form.like_weight, form.like_weight],
        # One after another: the weights' gradients are summed over the blocks.
        compiler_params=pltpu.CompilerParams(dimension_semantics=("arbitrary",)),
        interpret=interpret,
    )(form.turn(x), form.turn(dy), *(form.weight(w) for w in weights))
    return form.turn(dx), dgamma.reshape(-1), dbeta.reshape(-1)


class _Form:
    """How rows `(n, c)` are cut into blocks, and blocks into tiles of channels."""

    def __init__(self, x, groups, arrays):
        rows, self.channels = x.shape
        self.size = self.channels // groups
        self.axis = channels_axis(self.channels)
        self.rows = block_rows(rows, self.channels, arrays, x.dtype.itemsize)
        self.overhang = rows % self.rows
        self.grid = (pl.cdiv(rows, self.rows),)
        self.block = self._specification(self.rows, lambda i: i)
        self.whole = self._specification(1, lambda i: 0)
        self.like_x = jax.ShapeDtypeStruct(self._shape(rows), x.dtype)
        self.like_weight = jax.ShapeDtypeStruct(self._shape(1), jnp.float32)

    def _shape(self, rows):
        return (rows, self.channels) if self.axis == 1 else (self.channels, rows)

    def _specification(self, rows, index):
        if self.axis == 1:
            return pl.BlockSpec(self._shape(rows), lambda i: (index(i), 0))
        return pl.BlockSpec(self._shape(rows), lambda i: (0, index(i)))

    def turn(self, x):
        return x if self.axis == 1 else x.T

    def weight(self, weight):
        return weight.astype(jnp.float32).reshape(self._shape(1))

    def tiles(self):
        """Yields the index of each tile in a block."""
        width = tile_width(self.channels, self.size) or self.channels
        for start in range(0, self.channels, width):
            tile = slice(start, start + width)
            yield (slice(None), tile) if self.axis == 1 else (tile, slice(None))


def _standardize(x, form, spec):
    """z and 1 / sqrt(variance + epsilon), both of the shape of the tile `x`."""
    # Of bfloat16 inputs, two parts hold more than the output does.
    parts = 3 if x.dtype == jnp.float32 else 2
    x = x.astype(jnp.float32)
    if spec.subtract_mean:
        x = x - _group_mean(x, form, parts)
        x = x - _group_mean(x, form, parts)
    inverse = jax.lax.rsqrt(_group_mean(x * x, form, parts) + spec.epsilon)
    return x * inverse, inverse


def _group_mean(x, form, parts):
    """Each group's mean at every one of its channels."""
    if form.size == form.channels:
        return jnp.mean(x, axis=form.axis, keepdims=True)
    width = x.shape[form.axis]
    channel = [jax.lax.broadcasted_iota(jnp.int32, (width,) * 2, i) for i in (0, 1)]
    group = [jax.lax.div(i, jnp.int32(form.size)) for i in channel]
    same = (group[0] == group[1]).astype(jnp.float32).astype(jnp.bfloat16)
    total = 0.0
    for _ in range(parts):
        part = x.astype(jnp.bfloat16)
        pair = (part, same) if form.axis == 1 else (same, part)
        total = total + jnp.dot(*pair, preferred_element_type=jnp.float32)
        x = x - part.astype(jnp.float32)
    return total * (1.0 / form.size)
