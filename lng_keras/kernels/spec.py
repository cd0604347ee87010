"""What a group is: the arguments of a kernel and the view that splits the channels."""

from typing import Any, NamedTuple

import keras
from keras import ops

Tensor = Any  # of the backend that runs, or one that it traces


class Spec(NamedTuple):
    """The checked arguments of a grouped normalization. Hashable.

    groups: the number of groups.
    axes: the axes of the input that share statistics, non-negative, the channel
        axis last.
    epsilon: added to the variance.
    subtract_mean: False for the RMS form.
    """

    groups: int
    axes: tuple[int, ...]
    epsilon: float
    subtract_mean: bool

    @property
    def channel_axis(self) -> int:
        return self.axes[-1]


class View(NamedTuple):
    """A tensor whose channel axis is split in two, `(..., groups, size, ...)`.

    shape: of the view; sizes unknown when traced are -1 or tensors.
    original: the shape to return to.
    axes: the axes of the view that share statistics.
    first: the index of one element of each group, every axis kept.
    channels: the two axes into which the channel axis is split.
    per_channel: the shape in which `(c,)` weights broadcast against the view.
    """

    shape: tuple[Any, ...]
    original: tuple[Any, ...]
    axes: tuple[int, ...]
    first: tuple[slice, ...]
    channels: tuple[int, int]
    per_channel: tuple[int, ...]


def split(x: Tensor, spec: Spec) -> View:
    """Returns the `View` of `x` in which each group has an axis of its own."""
    channel_axis = spec.channel_axis
    original = known_shape(x)
    sizes = (spec.groups, x.shape[channel_axis] // spec.groups)
    shape = original[:channel_axis] + sizes + original[channel_axis + 1 :]
    within = channel_axis + 1
    axes = tuple(a + (a > channel_axis) for a in spec.axes[:-1]) + (within,)
    return View(
        shape=shape,
        original=original,
        axes=axes,
        first=tuple(
            slice(0, 1) if i in axes else slice(None) for i in range(len(shape))
        ),
        channels=(channel_axis, within),
        per_channel=(1,) * channel_axis + sizes + (1,) * (len(shape) - within - 1),
    )


def known_shape(x: Tensor) -> tuple[Any, ...]:
    """The shape of `x` with -1 for one unknown size and tensors for more."""
    unknown = [i for i, size in enumerate(x.shape) if not isinstance(size, int)]
    if len(unknown) > 1:
        return tuple(ops.shape(x))
    return tuple(-1 if i in unknown else size for i, size in enumerate(x.shape))


def statistics_dtype(x: Tensor) -> str:
    """float64 for float64 and float32 for every other dtype."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    return "float64" if dtype == "float64" else "float32"


def space_and_channels(
    x: Tensor, spec: Spec
) -> tuple[tuple[int, int, int], str] | None:
    """Returns `((n, s, c), "last")`, `((n, c, s), "first")` or None.

    The three axes to which fast kernels reshape without moving data. With "last"
    a group's statistics cover `s`; `s` is 1 if each position is on its own. With
    "first" they cover `s` if it is in `spec.axes`. None: axes that are not of
    either form, or unknown sizes.
    """
    shape = x.shape
    if not all(isinstance(size, int) for size in shape):
        return None
    rank, channel_axis = len(shape), spec.channel_axis
    others = sorted(spec.axes[:-1])
    if channel_axis == rank - 1:
        kept = rank - 1 - len(others)
        if others == list(range(kept, rank - 1)):
            n, s = _product(shape[:kept]), _product(shape[kept:-1])
            return (n, s, shape[-1]), "last"
        return None
    after = list(range(channel_axis + 1, rank))
    if others in ([], after):
        n, s = _product(shape[:channel_axis]), _product(shape[channel_axis + 1 :])
        return (n, shape[channel_axis], s), "first"
    return None


def _product(sizes):
    result = 1
    for size in sizes:
        result *= size
    return result


def weight_tensor(weight: Any) -> Tensor | None:
    """A weight, perhaps a variable, as a tensor; None stays None."""
    return None if weight is None else ops.convert_to_tensor(weight)
