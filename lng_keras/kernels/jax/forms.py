"""Which form of the arithmetic a JAX program runs where.

| platform | input | form |
|---|---|---|
| CPU | channels last, sums by a few slices | `strided` |
| CUDA, TPU | statistics over all of space, channels last | `two_pass` |
| CUDA | gradients of gamma or beta, or group sizes that XLA does not fuse | `triton` |
| CUDA | else | `fused` |
| TPU | positions on their own, on one device or in a `shard_map` | `tpu` |
| TPU | else, channels last, positions on their own | `products` |
| any | else | `fused` |

It is asked when a program is lowered, with the platform that it is lowered for.
"""

import functools
from typing import Any

from lng_keras.kernels import fused, two_pass
from lng_keras.kernels.contract import Form, Wanted
from lng_keras.kernels.jax import products, strided
from lng_keras.kernels.jax.rows import OnRows
from lng_keras.kernels.spec import (
    Spec,
    Tensor,
    space_and_channels,
    split,
    statistics_dtype,
)

PLATFORMS = ("cpu", "cuda", "tpu")
_STRIDED, _PRODUCTS = OnRows(strided), OnRows(products)


def kept_shape(x: Tensor, spec: Spec) -> tuple[tuple[int, ...], str]:
    """Shape and dtype of each statistic that a form may keep."""
    view = split(x, spec)
    shape = tuple(1 if i in view.axes else n for i, n in enumerate(view.shape))
    return shape, statistics_dtype(x)


def has_one_device(axis_context: Any) -> bool:
    """Whether a program is of one device, or of each by itself (in a `shard_map`).

    XLA cannot partition a kernel that is not its own.

    Args:
        axis_context: of the `ModuleContext` of a lowering: `ShardingContext`, or
            `SPMDAxisContext` where some axes of a mesh are manual.
    """
    devices = getattr(axis_context, "num_devices", None)
    if devices is not None:
        return devices == 1
    mesh = getattr(axis_context, "mesh", None)
    if mesh is None:
        return True
    manual = set(axis_context.manual_axes) | set(mesh.manual_axes)
    return all(mesh.shape[a] == 1 for a in mesh.axis_names if a not in manual)


def choose(
    platform: str | None,
    alone: bool,
    kernel: str,
    x: Tensor,
    spec: Spec,
    wanted: Wanted | None = None,
    given: Wanted | None = None,
) -> Form:
    """Returns the form for one operation; the table above, in code.

    Args:
        platform: one of PLATFORMS, or None for any other.
        alone: as `has_one_device` says.
        kernel: "auto"; "pallas" and "triton" ask for the TPU's and the GPU's kernel,
            which JAX interprets on a CPU.
        x: the input, or its abstract value.
        wanted, given: of `pull` and `push`; both None for the value.
    """
    view = space_and_channels(x, spec)
    if view is None or view[1] != "last":
        return fused
    (_, space, channels), _ = view
    size = channels // spec.groups
    if platform in ("cuda", "tpu") and two_pass.supports(x, spec):
        return two_pass
    interpreted = platform == "cpu"
    if kernel == "pallas" or platform == "tpu":
        if (
            space == 1
            and (alone or interpreted)
            and tpu().supports(channels, size, x.dtype)
        ):
            return _tpu(interpreted)
        return _PRODUCTS if platform == "tpu" and space == 1 else fused
    if kernel == "triton" or platform == "cuda":
        sums = wanted is not None and any(wanted[1:])
        fits = space == 1 and triton().supports(size)
        if fits and (interpreted or alone and (sums or size % 4)):
            return _triton(interpreted)
    if platform == "cpu" and strided.levels(size):
        return _STRIDED
    return fused


# Slow to import, and of use on an accelerator only.


def triton() -> Any:
    from lng_keras.kernels.jax import triton

    return triton


def tpu() -> Any:
    from lng_keras.kernels.jax import tpu

    return tpu


@functools.lru_cache
def _triton(interpreted):
    return OnRows(triton().Kernel(interpreted))


@functools.lru_cache
def _tpu(interpreted):
    return tpu().Kernel(interpreted)
