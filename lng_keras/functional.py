"""`group_layer_normalization`: checks the arguments and runs the arithmetic."""

import contextlib
import math
import numbers
from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from lng_keras import kernels
from lng_keras.kernels.spec import Spec, Tensor

DEFAULT_GROUP_SIZE = 8


def group_layer_normalization(
    x: Tensor,
    gamma: Tensor | None = None,
    beta: Tensor | None = None,
    groups: int | None = None,
    group_size: int | None = None,
    axis: int | Sequence[int] = -1,
    epsilon: float = 1e-5,
    subtract_mean: bool = True,
) -> Tensor:
    """Splits the channels into groups and normalizes each group by itself.

    Each group `z` of neighbouring channels is mapped to

        (z - mean(z)) / sqrt(var(z) + epsilon) * gamma + beta

    with the biased variance. Accepts symbolic `KerasTensor`s as well.

    Args:
        x: tensor `(batch, ..., c)` of any rank >= 2 and any real dtype.
        gamma: tensor `(c,)`, the scale of each channel, or None for 1.
        beta: tensor `(c,)`, the offset of each channel, or None for 0.
        groups: int >= 1, the number of groups; must divide `c`.
        group_size: int >= 1, the channels of a group; must divide `c`. Give
            `groups` or `group_size`, not both; neither means `group_size=8`.
        axis: int or sequence of ints, the axes normalized together. The int
            itself, or the last of the sequence as given, is the channel axis,
            the one that is split.
        epsilon: float > 0, added to the variance, in squared units of `x`.
        subtract_mean: bool; False divides by the root mean square without
            subtracting the mean.

    Returns:
        Tensor of the shape of `x` and its dtype (float32 for integers).
        Statistics are computed in float32 or wider.

    Raises:
        ValueError: if `groups` and `group_size` do not fit each other or `c`,
            if `axis` is out of range, repeated or includes the batch, if the
            size of the channel axis is unknown, or if `gamma` or `beta` has
            another shape than `(c,)`.

    Reference: Ni et al., On the Nonlinearity of Layer Normalization, ICML 2024.
    """
    arguments: dict[str, Any] = dict(
        groups=groups,
        group_size=group_size,
        axis=axis,
        epsilon=epsilon,
        subtract_mean=subtract_mean,
    )
    if any(isinstance(t, keras.KerasTensor) for t in (x, gamma, beta)):
        return GroupLayerNormalizationOperation(**arguments).symbolic_call(
            x, gamma, beta
        )
    x = ops.convert_to_tensor(x)
    check_arguments(groups, group_size, axis, epsilon)
    axes = resolve_axes(axis, len(x.shape))
    groups = resolve_groups(x.shape, axes, groups, group_size, subtract_mean)
    check_weights(x.shape[axes[-1]], gamma=gamma, beta=beta)
    return normalize_checked(x, gamma, beta, Spec(groups, axes, epsilon, subtract_mean))


@contextlib.contextmanager
def partitioned(
    mesh: Any,
    rows: str | Sequence[str] | None = None,
    channels: str | Sequence[str] | None = None,
) -> Iterator[None]:
    """Says how the inputs of grouped normalization are cut over devices. JAX only.

    XLA cannot cut a kernel that is not its own, so on a TPU or GPU each device is given
    its part by `jax.shard_map`. That is needed only where arrays lie on a mesh with
    automatic axes and there is no `keras.distribution` to ask: under explicit axes
    (`jax.set_mesh`) their types say it.

    Args:
        mesh: `jax.sharding.Mesh`.
        rows: name or names of the axes of the mesh over which the first axis of the
            inputs is cut, or None. Inputs whose first axis they do not divide are left
            to XLA.
        channels: the same for the channels, and for gamma and beta. Where they would
            cut a group, each device is given all channels.

    Raises:
        RuntimeError: on another backend than JAX.
        ValueError: if the mesh has no axis of such a name.

    ```python
    with lng_keras.functional.partitioned(mesh, rows="data", channels="model"):
        loss = jax.jit(step)(state, x)
    ```
    """
    backend = keras.backend.backend()
    if backend != "jax":
        raise RuntimeError(
            "`partitioned` is for arrays on a mesh of JAX. "
            f"Received: a call on the backend {backend}"
        )
    from lng_keras.kernels.jax import sharding  # needs JAX

    rows, channels = (
        n if n is None or isinstance(n, str) else tuple(n) for n in (rows, channels)
    )
    with sharding.partitioned(mesh, rows, channels):
        yield


def check_arguments(groups: Any, group_size: Any, axis: Any, epsilon: Any) -> None:
    """Raises for what is wrong before any shape is known."""
    if groups is not None and group_size is not None:
        raise ValueError(
            "Give `groups` or `group_size`, not both. "
            f"Received: groups={groups}, group_size={group_size}"
        )
    for name, value in (("groups", groups), ("group_size", group_size)):
        if value is not None and not (is_int(value) and value >= 1):
            raise ValueError(f"`{name}` must be an int >= 1. Received: {name}={value}")
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    if not axes or not all(is_int(a) for a in axes):
        raise ValueError(
            f"`axis` must be an int or a sequence of ints. Received: axis={axis}"
        )
    if len(set(axes)) != len(axes):
        raise ValueError(f"`axis` must not repeat an axis. Received: axis={axis}")
    number = isinstance(epsilon, numbers.Real) and not isinstance(epsilon, bool)
    if not (number and 0 < epsilon < math.inf):
        raise ValueError(
            f"`epsilon` must be a finite number > 0. Received: epsilon={epsilon!r}"
        )


def resolve_axes(axis: int | Sequence[int], rank: int) -> tuple[int, ...]:
    """Returns `axis` as a tuple of non-negative ints, the channel axis last."""
    axes = axis if isinstance(axis, (list, tuple)) else (axis,)
    for a in axes:
        if not -rank <= a < rank:
            raise ValueError(
                "`axis` must name axes of the input. "
                f"Received: axis={axis} for an input of rank {rank}"
            )
    resolved = tuple(a % rank for a in axes)
    if 0 in resolved:
        raise ValueError(
            "`axis` must not include the batch axis 0. "
            f"Received: axis={axis} for an input of rank {rank}"
        )
    if len(set(resolved)) != len(resolved):
        raise ValueError(
            "`axis` must not repeat an axis. "
            f"Received: axis={axis} for an input of rank {rank}"
        )
    return resolved


def resolve_groups(
    shape: Sequence[int | None],
    axes: Sequence[int],
    groups: int | None,
    group_size: int | None,
    subtract_mean: bool = True,
) -> int:
    """Returns the number of groups for an input of `shape`."""
    channels = shape[axes[-1]]
    if not isinstance(channels, int):
        raise ValueError(
            "The channel axis must have a known size. "
            f"Received: input shape {tuple(shape)}, channel axis {axes[-1]}"
        )
    if groups is None:
        size = group_size or DEFAULT_GROUP_SIZE
        if channels % size:
            raise ValueError(
                "`group_size` must divide the number of channels. "
                f"Received: group_size={size}{'' if group_size else ' (the default)'}"
                f", {channels} channels. Choose one of {_divisors(channels)}."
            )
        groups = channels // size
    elif channels % groups:
        raise ValueError(
            "`groups` must divide the number of channels. "
            f"Received: groups={groups}, {channels} channels. "
            f"Choose one of {_divisors(channels)}."
        )
    if subtract_mean and groups == channels and len(axes) == 1:
        raise ValueError(
            "A group of one channel at one position is its own mean, so the output "
            "would be beta whatever the input. "
            f"Received: groups={groups}, {channels} channels. "
            "Use a group size of 2 or more, or include axes of space in `axis`."
        )
    return groups


def check_weights(channels: int, **weights: Tensor | None) -> None:
    """Raises for weights that are not one number a channel; they might broadcast."""
    for name, weight in weights.items():
        shape = (channels,) if weight is None else tuple(np.shape(weight))
        if shape not in ((channels,), (None,)):
            raise ValueError(
                f"`{name}` must have the shape ({channels},), one number a channel. "
                f"Received: {name} of shape {shape}"
            )


def normalize_checked(
    x: Tensor, gamma: Tensor | None, beta: Tensor | None, spec: Spec
) -> Tensor:
    """The arithmetic on checked arguments: see `group_layer_normalization`."""
    x = ops.cast(x, floating_dtype(x))
    return kernels.normalize(x, gamma, beta, spec)


def floating_dtype(x: Tensor) -> str:
    """The dtype of the result: that of `x`, or float32 for integers."""
    dtype = keras.backend.standardize_dtype(x.dtype)
    return dtype if keras.backend.is_float_dtype(dtype) else "float32"


def is_int(value: Any) -> bool:
    """Whether a value counts things: an int of Python or NumPy."""
    # A bool is an int to Python, but groups=True is a mistake.
    return hasattr(value, "__index__") and not isinstance(value, bool)


def _divisors(n):
    return [i for i in range(1, n + 1) if n % i == 0]


@keras.saving.register_keras_serializable(package="lng_keras")
class GroupLayerNormalizationOperation(keras.Operation):
    """What a functional model records for `group_layer_normalization`."""

    def __init__(
        self,
        groups: int | None,
        group_size: int | None,
        axis: int | Sequence[int],
        epsilon: float,
        subtract_mean: bool,
        name: str | None = None,
    ):
        super().__init__(name=name)
        check_arguments(groups, group_size, axis, epsilon)
        self.groups = groups
        self.group_size = group_size
        self.axis = axis
        self.epsilon = epsilon
        self.subtract_mean = subtract_mean

    def call(self, x, gamma=None, beta=None):
        return group_layer_normalization(x, gamma, beta, **self._arguments())

    def compute_output_spec(self, x, gamma=None, beta=None):
        axes = resolve_axes(self.axis, len(x.shape))
        resolve_groups(x.shape, axes, self.groups, self.group_size, self.subtract_mean)
        check_weights(x.shape[axes[-1]], gamma=gamma, beta=beta)
        return keras.KerasTensor(x.shape, dtype=floating_dtype(x))

    def get_config(self):
        return {"name": self.name, **self._arguments()}

    def _arguments(self):
        return dict(
            groups=self.groups,
            group_size=self.group_size,
            axis=self.axis,
            epsilon=self.epsilon,
            subtract_mean=self.subtract_mean,
        )
