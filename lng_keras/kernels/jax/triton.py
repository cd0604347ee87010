"""Grouped normalization on CUDA: one pass over memory, also with gradients of weights.

XLA fuses the value and dx by itself, but reads everything again for the gradients of
gamma and beta, and falls off its fusion at groups of an odd size. Here a program takes
a block of rows and of whole groups, a few rows at a time, and leaves the block's sums
for gamma and beta, which are added up afterwards: few numbers.

Arrays of a program have sizes of powers of two; what is beyond the input is masked.
"""

import math

import jax
import jax.numpy as jnp
from jax import lax
from jax.experimental import pallas as pl
from jax.experimental.pallas import triton as plgpu

from lng_keras.kernels import fused
from lng_keras.kernels.contract import ALL, Kept, Wanted
from lng_keras.kernels.spec import Spec, Tensor, statistics_dtype

# Numbers that a program works on at once: 32 for each of its 128 threads.
AT_ONCE = 4096
WARPS = 4
# Rows of a block: the sums it leaves are a 64th of what it reads.
ROWS = 64
# Larger groups do not fit the registers of a program.
LARGEST = 8192


def supports(size: int) -> bool:
    return size <= LARGEST


class Kernel:
    """A form for rows `(n, 1, c)`, with statistics of each row by itself.

    Args:
        interpreted: by JAX, on a CPU; for tests.
    """

    def __init__(self, interpreted: bool = False):
        self._interpreted = interpreted

    def forward(
        self,
        x: Tensor,
        gamma: Tensor | None,
        beta: Tensor | None,
        spec: Spec,
    ) -> tuple[Tensor, Kept]:
        """As `contract.Form.forward`, for rows `(n, 1, c)`; keeps nothing."""
        form = _Blocks(x, spec)

        def kernel(x_ref, gamma_ref, beta_ref, y_ref):
            here = _Here(form)
            scale, shift = here.weight(gamma_ref), here.weight(beta_ref)

            def some_rows(i, _):
                unit, _ = here.standardized(x_ref, i)
                here.store(y_ref, i, unit * scale + shift)
                return 0

            lax.fori_loop(0, form.steps, some_rows, 0)

        (y,) = form.run(kernel, self._interpreted, [x, gamma, beta], [form.like(x)])
        return y.reshape(x.shape), ()

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
        """As `contract.Form.pull`, for rows `(n, 1, c)`, in one pass."""
        form = _Blocks(x, spec)

        def kernel(x_ref, gamma_ref, dy_ref, *results):
            results = iter(results)
            dx_ref, *sum_refs = (next(results) if w else None for w in wanted)
            here = _Here(form)
            scale = here.weight(gamma_ref)

            def some_rows(i, sums):
                unit, inverse = here.standardized(x_ref, i)
                given = here.load(dy_ref, i)
                if wanted[0]:
                    t = given * scale
                    t_across = t - unit * here.mean(t * unit)
                    if spec.subtract_mean:
                        t_across = t_across - here.mean(t)
                    here.store(dx_ref, i, inverse * t_across)
                along, level = sums
                if wanted[1]:
                    along = along + (given * unit).sum(0, keepdims=True)
                if wanted[2]:
                    level = level + given.sum(0, keepdims=True)
                return along, level

            zero = jnp.zeros((1, *form.block[1:]), form.dtype)
            along, level = lax.fori_loop(0, form.steps, some_rows, (zero, zero))
            for ref, total in zip(sum_refs, (along, level), strict=True):
                if ref is not None:
                    here.store_sum(ref, total)

        sums = jax.ShapeDtypeStruct((form.grid[0], form.groups * form.size), form.dtype)
        shapes = [form.like(x)] * wanted[0] + [sums] * sum(wanted[1:])
        found = iter(form.run(kernel, self._interpreted, [x, gamma, dy], shapes))
        dx = next(found).reshape(x.shape) if wanted[0] else None
        dgamma, dbeta = (next(found).sum(0) if w else None for w in wanted[1:])
        return dx, dgamma, dbeta


class _Blocks:
    """How rows `(n, c)` are cut into blocks of rows and whole groups.

    block: (rows at a time, groups, channels of a group), powers of two.
    steps: how often so many rows are taken in a block.
    grid: the number of blocks of rows, and of groups.
    """

    def __init__(self, x, spec):
        self.spec, self.groups = spec, spec.groups
        self.n, _, channels = x.shape
        self.size = channels // spec.groups
        self.dtype = jnp.dtype(statistics_dtype(x))
        size = _power_of_two(self.size)
        groups = min(_power_of_two(self.groups), max(1, AT_ONCE // 4 // size))
        rows = min(max(1, AT_ONCE // (size * groups)), _power_of_two(self.n))
        self.block = (rows, groups, size)
        # More where one group is more than a program works on at once: else it spills.
        self._warps = WARPS * max(1, size // AT_ONCE)
        self.steps = min(max(1, ROWS // rows), -(-self.n // rows))
        self.grid = (-(-self.n // (rows * self.steps)), -(-self.groups // groups))

    def like(self, x):
        return jax.ShapeDtypeStruct((self.n, self.groups * self.size), x.dtype)

    def run(self, kernel, interpret, inputs, shapes):
        inputs = [t.reshape(self.n, -1) if t.ndim == 3 else t for t in inputs]
        return pl.pallas_call(
            kernel,
            grid=self.grid,
            out_shape=shapes,
            compiler_params=plgpu.CompilerParams(num_warps=self._warps, num_stages=1),
            interpret=interpret,
        )(*inputs)


class _Here:
    """The block of one program: its numbers, weights and sums."""

    def __init__(self, form):
        self._form = form
        # Read here: inside a loop there is no program to ask for its number.
        self._number, self._first_group = pl.program_id(0), pl.program_id(1)
        self._first_group = self._first_group * form.block[1]
        row = lax.broadcasted_iota(jnp.int32, form.block, 0)
        self._row = row + self._number * (form.block[0] * form.steps)
        self._channel, self._in_group, self._inside = self._channels(form.block)

    def _channels(self, shape):
        """Of each number the channel, and whether its group and all of it are there.

        What cannot fail is None.
        """
        form, (_, groups, size) = self._form, shape
        group, within = (lax.broadcasted_iota(jnp.int32, shape, a) for a in (1, 2))
        group = group + self._first_group
        in_group = None if form.size == size else within < form.size
        in_groups = None if form.groups % groups == 0 else group < form.groups
        return group * form.size + within, in_group, _both(in_group, in_groups)

    def _place(self, i):
        """Row and channel of each number of step `i`, and whether it is there."""
        form = self._form
        row = self._row + i * form.block[0]
        in_rows = None if form.n % (form.block[0] * form.steps) == 0 else row < form.n
        return (row, self._channel), _both(self._inside, in_rows)

    def load(self, ref, i):
        return self._load(ref, *self._place(i))

    def store(self, ref, i, value):
        place, inside = self._place(i)
        plgpu.store(ref.at[place], value.astype(ref.dtype), mask=inside)

    def weight(self, ref):
        """One number a channel, `(1, groups, size)`."""
        channel, _, inside = self._channels((1, *self._form.block[1:]))
        return self._load(ref, (channel,), inside)

    def store_sum(self, ref, value):
        channel, _, inside = self._channels(value.shape)
        row = jnp.full(value.shape, self._number, jnp.int32)
        plgpu.store(ref.at[row, channel], value, mask=inside)

    def mean(self, values):
        return values.sum(-1, keepdims=True) * (1.0 / self._form.size)

    def standardized(self, ref, i):
        """The normalized numbers of step `i`, and the inverse deviations."""
        x = self.load(ref, i)
        if self._form.spec.subtract_mean:
            x = x - self._held(x, -math.inf).max(-1, keepdims=True)
            x = self._held(x, 0.0)
            x = self._held(x - self.mean(x), 0.0)
        inverse = lax.rsqrt(self.mean(x * x) + self._form.spec.epsilon)
        return x * inverse, inverse

    def _load(self, ref, place, inside):
        other = None if inside is None else jnp.zeros((), ref.dtype)
        value = plgpu.load(ref.at[place], mask=inside, other=other)
        return value.astype(self._form.dtype)

    def _held(self, x, other):
        """`x` with `other` beside a group whose size is no power of two."""
        return x if self._in_group is None else jnp.where(self._in_group, x, other)


def _both(first, second):
    if first is None or second is None:
        return second if first is None else first
    return first & second


def _power_of_two(n):
    return 1 << (n - 1).bit_length()
