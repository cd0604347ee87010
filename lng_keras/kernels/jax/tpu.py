"""Grouped normalization on TPU: a Pallas kernel, forward and backward.

XLA pads a last axis of a few channels to 128 lanes and moves up to twenty times the
bytes. Here a block of rows is read once into VMEM and written once. A group's sum
reaches all its channels by one product with a block-diagonal matrix of ones, a tile
of channels at a time; float32 goes through the bfloat16 matrix unit as a sum of three
bfloat16 parts, which hold its 24 bits exactly.

The first mean is subtracted and then the mean of what is left, which has the same
effect as the pivot of the reference: the difference of near numbers is exact.
The backward pass computes the statistics again, so nothing but `x` is kept.

XLA lays an array out with that axis last that fills 128 lanes with least padding: of
maps of few channels the batch. The kernel follows it, since it would move every array
twice otherwise: blocks are `(rows, channels)`, or `(channels, rows)` of any axis.
"""

import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.experimental import pallas as pl
from jax.experimental.pallas import tpu as pltpu

from lng_keras.kernels import fused
from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor

LANES = 128
# The widest product that still costs less than the memory it saves.
WIDEST_TILE = 512
# Of a core's VMEM (16 MB on a v5e), for the arrays of one block of rows.
BLOCK_BYTES = 6 << 20
# Of a block: a step of the grid costs as much as some 300 KB of memory.
PIECES = 8


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


def lanes_axis(shape: Sequence[int]) -> int:
    """The axis of `(..., c)` that XLA lays out last; beside it lie the channels."""
    last = len(shape) - 1

    def padded(axis):
        beside = shape[-2] if axis == last else shape[-1]
        lanes, sublanes = -(-shape[axis] // LANES), -(-beside // 8)
        return lanes * LANES / shape[axis] * (sublanes * 8 / beside)

    return min(reversed(range(len(shape))), key=padded)  # of equals the later one


def block_rows(rows: int, channels: int, axis: int, arrays: int, itemsize: int) -> int:
    """Rows of a block: as many as fit `BLOCK_BYTES`, twice for double buffering.

    Args:
        axis: of the channels in a block.
        arrays: arrays of the size of `x` that the kernel reads and writes.
        itemsize: bytes of one number of them.
    """
    unit = LANES if axis == 0 else 16
    # Besides the buffers, the kernel's float32 copies of its widest tile.
    per_row = channels * (2 * arrays * itemsize + 4)
    fit = max(unit, BLOCK_BYTES // per_row // unit * unit)
    return min(fit, 4 * LANES, -(-rows // unit) * unit)


class Kernel:
    """A form for `(..., c)`, float32 or bfloat16, with each position by itself.

    Args:
        interpreted: by JAX, on a CPU; for tests.
    """

    def __init__(self, interpreted: bool = False):
        self._interpreted = interpreted

    def forward(
        self, x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
    ) -> tuple[Tensor, Kept]:
        """As `contract.Form.forward`; keeps nothing."""
        form = _Form(x, spec, arrays=2)
        weights = [w for w in (gamma, beta) if w is not None]

        def kernel(x_ref, *refs):
            *weight_refs, y_ref = refs

            def one(piece):
                for tile in form.tiles():
                    given = [ref[tile] for ref in weight_refs]
                    y, _ = _standardize(x_ref[piece, *tile], form)
                    if gamma is not None:
                        y = y * given.pop(0)
                    if beta is not None:
                        y = y + given.pop(0)
                    y_ref[piece, *tile] = y.astype(y_ref.dtype)

            form.each_piece(one)

        y = pl.pallas_call(
            kernel,
            grid=form.grid,
            in_specs=[form.block] + [form.whole] * len(weights),
            out_specs=form.block,
            out_shape=form.like_x,
            interpret=self._interpreted,
        )(form.turn(x), *(form.weight(w) for w in weights))
        return form.turn_back(y), ()

    push = staticmethod(fused.push)

    def pull(
        self,
        x: Tensor,
        gamma: Tensor | None,
        kept: Kept,
        dy: Tensor,
        spec: Spec,
        wanted: Wanted = ALL,
    ) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """As `contract.Form.pull`."""
        form = _Form(x, spec, arrays=3)
        weights = [] if gamma is None else [gamma]

        def kernel(x_ref, dy_ref, *refs):
            weight_refs, results = refs[: len(weights)], iter(refs[len(weights) :])
            dx_ref, *sum_refs = (next(results) if w else None for w in wanted)

            # Not in a loop: there is no program to ask for its number.
            block = pl.program_id(1)

            @pl.when(pl.program_id(0) + block == 0)
            def _():
                for ref in (r for r in sum_refs if r is not None):
                    ref[...] = jnp.zeros_like(ref)

            def one(piece):
                for tile in form.tiles():
                    here = (piece, *tile)
                    dy = dy_ref[here].astype(jnp.float32)
                    z, inverse = _standardize(x_ref[here], form)
                    if form.overhang:  # the last block reaches past the end
                        row = jax.lax.broadcasted_iota(
                            jnp.int32, z.shape, 1 - form.axis
                        )
                        inside = row + block * form.rows < form.length
                        z, dy = jnp.where(inside, z, 0.0), jnp.where(inside, dy, 0.0)
                    if dx_ref is not None:
                        t = dy * weight_refs[0][tile] if weight_refs else dy
                        # Two parts hold 16 bits, enough for a mean that is subtracted.
                        dx = t - z * _group_mean(t * z, form, parts=2)
                        if spec.subtract_mean:
                            dx = dx - _group_mean(t, form, parts=2)
                        dx_ref[here] = (dx * inverse).astype(dx_ref.dtype)
                    for ref, of_rows in zip(sum_refs, (dy * z, dy), strict=True):
                        if ref is not None:
                            axis = 1 - form.axis
                            ref[tile] += jnp.sum(of_rows, axis=axis, keepdims=True)

            form.each_piece(one)

        kinds = [(form.block, form.like_x), *[(form.whole, form.like_weight)] * 2]
        there = [kind for kind, w in zip(kinds, wanted, strict=True) if w]
        found = iter(
            pl.pallas_call(
                kernel,
                grid=form.grid,
                in_specs=[form.block] * 2 + [form.whole] * len(weights),
                out_specs=[block for block, _ in there],
                out_shape=[like for _, like in there],
                # One after another: sums of the weights' gradients go over blocks.
                compiler_params=pltpu.CompilerParams(
                    dimension_semantics=("arbitrary", "arbitrary")
                ),
                interpret=self._interpreted,
            )(
                form.turn(x),
                form.turn(dy),
                *(form.weight(w) for w in weights),
            )
        )
        dx, dgamma, dbeta = (next(found) if w else None for w in wanted)
        return (
            None if dx is None else form.turn_back(dx),
            None if dgamma is None else dgamma.reshape(-1),
            None if dbeta is None else dbeta.reshape(-1),
        )


class _Form:
    """How `(..., c)` is cut into pieces, blocks of their rows, and tiles of channels.

    axis: of the channels in a block.
    length: rows of a piece, which lie together.
    pieces: of a block; more than one where they are small.
    """

    def __init__(self, x, spec, arrays):
        self.spec, self.channels = spec, x.shape[-1]
        self.size = self.channels // spec.groups
        self._lanes = lanes_axis(x.shape)
        self.axis = 1 if self._lanes == x.ndim - 1 else 0
        n = x.size // self.channels
        self.length = n if self.axis == 1 else x.shape[self._lanes]
        others = [n for i, n in enumerate(x.shape) if i != self._lanes]
        self._turned = (*others, x.shape[self._lanes])
        self.rows = block_rows(
            self.length, self.channels, self.axis, arrays, x.dtype.itemsize
        )
        self.overhang = self.length % self.rows
        count = n // self.length
        held = 2 * arrays * x.dtype.itemsize * self.channels * self.rows
        fit = range(1, min(PIECES, max(1, BLOCK_BYTES // held)) + 1)
        self.pieces = max(p for p in fit if count % p == 0)
        self.grid = (count // self.pieces, pl.cdiv(self.length, self.rows))
        self.block = self._specification(self.pieces, self.rows, lambda i, j: (i, j))
        self.whole = self._specification(None, 1, lambda i, j: (0, 0))
        shape = (count, *self._ordered(self.length, self.channels))
        self.like_x = jax.ShapeDtypeStruct(shape, x.dtype)
        weight = (1, *self._ordered(1, self.channels))
        self.like_weight = jax.ShapeDtypeStruct(weight, jnp.float32)

    def _ordered(self, of_rows, of_channels):
        pair = (of_rows, of_channels)
        return pair if self.axis == 1 else pair[::-1]

    def _specification(self, pieces, rows, index):
        def place(i, j):
            piece, row = index(i, j)
            return piece, *self._ordered(row, 0)

        return pl.BlockSpec((pieces, *self._ordered(rows, self.channels)), place)

    def turn(self, x):
        return jnp.moveaxis(x, self._lanes, -1).reshape(self.like_x.shape)

    def turn_back(self, x):
        return jnp.moveaxis(x.reshape(self._turned), -1, self._lanes)

    def each_piece(self, do):
        if self.pieces == 1:
            do(0)
        else:
            jax.lax.fori_loop(0, self.pieces, lambda i, _: do(i), None)

    def weight(self, weight):
        return weight.astype(jnp.float32).reshape(self.like_weight.shape)

    def tiles(self):
        """Yields the index of each tile in a block."""
        width = tile_width(self.channels, self.size) or self.channels
        for start in range(0, self.channels, width):
            tile = slice(start, start + width)
            yield (slice(None), tile) if self.axis == 1 else (tile, slice(None))


def _standardize(x, form):
    """z and 1 / sqrt(variance + epsilon), both of the shape of the tile `x`."""
    # Of bfloat16 inputs, two parts hold more than the output does.
    parts = 3 if x.dtype == jnp.float32 else 2
    x = x.astype(jnp.float32)
    if form.spec.subtract_mean:
        x = x - _group_mean(x, form, parts)
        x = x - _group_mean(x, form, parts)
    inverse = jax.lax.rsqrt(_group_mean(x * x, form, parts) + form.spec.epsilon)
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
        # Said, since a user may ask for more, which bfloat16 parts do not take.
        product = jnp.dot(
            *pair,
            precision=jax.lax.Precision.DEFAULT,
            preferred_element_type=jnp.float32,
        )
        total = total + product
        x = x - part.astype(jnp.float32)
    return total * (1.0 / form.size)
